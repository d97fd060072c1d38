"""The contract of Assay: what users write, what tasks are run for it, what comes back.

Everything here is data and pure functions over it; pydantic is the only dependency. The operator and the runner
both speak this contract and never each other's language.
"""
