#!/usr/bin/env bash
# Fails if the subject of a commit does not follow CONTRIBUTING.md, and prints each that does not.
#
#	tools/subjects.sh [RANGE...]
#
# RANGE is a range of git log, such as origin/main..; without one all commits since the rule applies are
# checked, or as many as a shallow clone has. Merges and reverts have subjects of their own.
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
	[[ ! ${subject,,} =~ $undone ]] || faults+=('is of unfinished work')
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
echo "subjects: $count commits are in order"
