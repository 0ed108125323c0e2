# Sourced by scripts that need another commit beside the working tree.
#
#	checkout NAME COMMIT
#
# sets root to the repository and work to a temporary folder, in which $work/tree is the commit. The folder
# is removed when the script ends. If there is no such commit, the script fails and names the variable NAME.
checkout() {
	root=$(git rev-parse --show-toplevel)
	git -C "$root" rev-parse --verify --quiet --end-of-options "$2^{commit}" >/dev/null || {
		echo "$0: $1=$2: must be a commit" >&2
		exit 1
	}
	work=$(mktemp -d)
	trap 'git -C "$root" worktree remove --force "$work/tree"; rm -rf "$work"' EXIT
	git -C "$root" worktree add --quiet --detach "$work/tree" "$2"
}
