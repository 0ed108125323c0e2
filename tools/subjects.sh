#!/usr/bin/env bash
# Fails if the subject of a commit is not as CONTRIBUTING.md has it, and names each that is not.
#
#	tools/subjects.sh [RANGE...]
#
# RANGE is what git log takes, such as origin/main..; without one it is all that there is since the rule
# holds, in a shallow clone as much as that has. Merges and reverts have subjects of their own.
set -euo pipefail
export LC_ALL=C.UTF-8 # for the length in characters

# The last commit before the rule.
before=d0e5661
range=("$@")
if ((!$#)); then
	range=(HEAD)
	if git rev-parse --verify --quiet "$before^{commit}" >/dev/null; then range+=("^$before"); fi
fi

form='^[A-Za-z0-9_./-]+(, [A-Za-z0-9_./-]+| [a-z]+)*: ([^ ]+)'
past='^(add|change|fix|move|remove|rename|update)(ed|d|s|es|ing)$|^(made|makes|making)$'
undone='(^|[^a-z])(wip|fixup!|squash!|amend!)'
count=0 wrong=0
while read -r commit subject; do
	count=$((count + 1))
	faults=()
	[[ $subject == 'Revert "'* ]] && continue
	((${#subject} <= 72)) || faults+=("has ${#subject} characters, 72 at most")
	[[ ! ${subject,,} =~ $undone ]] || faults+=('is of work that is not done')
	if [[ ! $subject =~ $form ]]; then
		faults+=('is not of the form "area: what it does"')
	elif [[ ${BASH_REMATCH[2]} =~ $past ]]; then
		faults+=('is not in the imperative')
	fi
	[[ $subject != *. ]] || faults+=('ends with a full stop')
	for fault in "${faults[@]}"; do
		echo "$commit $subject: $fault"
		wrong=$((wrong + 1))
	done
done < <(git log --no-merges --format='%h %s' "${range[@]}")
if ((wrong)); then exit 1; fi
echo "subjects: $count commits are as they should be"
