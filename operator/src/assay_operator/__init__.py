"""The Kubernetes operator of Assay: audits in, Jobs and status out.

    cluster ─cache─> Observed ─reconcile─> Decision ─apply─> cluster

`cache`, `handlers`, `resync` and `progress` bring the cluster in, `reconcile` and what it calls (`tasks`, `troubles`,
`status`, `jobs`, `events`) are pure functions over frozen values, `apply` carries a Decision out.
"""
