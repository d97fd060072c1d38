"""Where the API has objects of a kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Resource:
    """A kind of object: what a manifest calls it, and where the API has it."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """Its API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Its version within the group."""
        return self.api_version.rpartition("/")[2]

    @property
    def prefix(self) -> str:
        """The path that it lies below."""
        return f"/{'apis' if self.group else 'api'}/{self.api_version}"


@dataclass(frozen=True)
class Ref:
    """A child, by what it is and its name; it lies in the namespace of its parent."""

    resource: Resource
    name: str


JOBS: Final = Resource("batch/v1", "Job", "jobs")
PODS: Final = Resource("v1", "Pod", "pods")
EVENTS: Final = Resource("v1", "Event", "events")
WORKLOADS: Final = Resource("kueue.x-k8s.io/v1beta1", "Workload", "workloads")
LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
NODES: Final = Resource("v1", "Node", "nodes")
SLICES: Final = Resource("resource.k8s.io/v1", "ResourceSlice", "resourceslices")
