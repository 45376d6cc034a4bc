# 1. Preview: which repositories gain the feature? Then apply. It asks first.
reconcile --dry-run
reconcile

# 2. Jobs of the feature fail.
for job in 1 2 3; do
  reconcile metrics record northwind/catalog --processor github_actions --failed
done

# 3. The safeguard rolls the feature back, and writes a commit to main.
reconcile health --rollback --write-back
git pull --quiet
git --no-pager show

# 4. The cause is fixed: resume, and read what happened.
reconcile resume --reason "The runner image is fixed" --write-back
git pull --quiet
reconcile status
reconcile history

# 5. Stop the database.
reconcile db stop
