"""A kind of resource that nobody here knew of, added by an entry in each table: it works through all that is ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assay_api.resources import RESOURCES
from assay_api.schema import crd
from assay_operator.cluster.api import Api
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.crd import WrongDefinition, check_definition
from assay_operator.cluster.feed import Feed
from assay_operator.cluster.queue import WorkQueue
from assay_operator.cluster.resync import Resync
from assay_operator.kinds import KINDS
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Kinds
from assay_operator.objects.seen import Seen
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import defined
from tests.operator.kubelet import Kubelet
from tests.operator.lab import REPOSITORY, Namespace, Operator, Raw
from tests.operator.through import through
from tests.operator.toys import MAP, MAPS, MORE, TOY, TOYS, toy_manifest
from tests.reconcile.cases import SETTINGS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class WithToys(Operator):
    """The operator with one more kind in its table."""

    module = "tests.operator.toys"


@pytest.fixture(scope="module")
def toys(bare_api: ApiServer) -> Iterator[ApiServer]:
    """The API server with the definition of Toy as well."""
    with defined(bare_api.kubectl, crd(TOY, {})):
        yield bare_api


def words(namespace: Namespace) -> dict[str, str]:
    """The words written down, by the ConfigMap's name."""
    maps = [each for each in namespace.items("configmaps") if each["metadata"]["name"].startswith("toy-")]
    return {each["metadata"]["name"]: each["data"]["words"] for each in maps}


def phase(namespace: Namespace, name: str) -> tuple[int, str]:
    status: Raw = namespace.read("toys", name)["status"]
    return status["observedGeneration"], status["phase"]


def say(namespace: Namespace, name: str, text: str) -> None:
    namespace.kubectl.apply(toy_manifest(name, namespace.name, text))


def test_it_lives_beside_audits_and_outlives_its_leader(toys: ApiServer, namespace: Namespace, folder: Path) -> None:
    env = {"PYTHONPATH": str(REPOSITORY), "ASSAY_RESYNC_SECONDS": "1"}
    with ExitStack() as stack:
        first = WithToys(toys, folder / "first.log", **env).start()
        stack.callback(first.end)
        first.leading()
        say(namespace, "one", "hello")
        namespace.until(lambda: phase(namespace, "one") == (1, "Complete"), "the Toy to be done")
        assert words(namespace) == {"toy-one": "hello"}
        # What a child or the spec has become is told by the watch, and mended.
        namespace("patch", "configmap", "toy-one", "--type=merge", "-p", '{"data": {"words": "else"}}')
        namespace.until(lambda: words(namespace) == {"toy-one": "hello"}, "the words to be mended")
        namespace("delete", "configmap", "toy-one")
        namespace.until(lambda: words(namespace) == {"toy-one": "hello"}, "the words to be written again")
        say(namespace, "one", "goodbye")
        namespace.until(lambda: phase(namespace, "one") == (2, "Complete"), "the new words")
        assert words(namespace) == {"toy-one": "goodbye"}
        # An audit of the same name is another object.
        namespace.apply_audit("one")
        Kubelet(namespace).finish(namespace.job("golden"))
        namespace.job("fp16")
        namespace.until(lambda: 'assay_toys{phase="Complete",verdict="None"} 1.0' in first.scrape(), "the metric")
        namespace.until(lambda: "Written: Wrote down goodbye." in namespace.events(), "the event")
        second = WithToys(toys, folder / "second.log", **env).start()
        stack.callback(second.end)
        second.ready()
        first.kill()
        second.leading()
        say(namespace, "two", "still here")
        namespace.until(lambda: phase(namespace, "two") == (1, "Complete"), "the new leader's Toy")
        assert second.metric("assay_resync_healed_total") == 0
        # Of what a role lacks or the server does not take; that another was first, or the server busy, is neither.
        refused = second.counted('assay_api_errors_total{code="4')
        assert [line for line in refused if 'code="409"' not in line and 'code="429"' not in line] == []


def test_a_listing_heals_what_the_watch_has_missed(toys: ApiServer, namespace: Namespace) -> None:
    say(namespace, "one", "hello")
    cache, line = Cache(MORE), WorkQueue[Key](lambda: 0.0, lambda: 0.5)

    async def heal(requests: Api) -> list[int]:
        resync = Resync(requests, MORE, cache, Feed(MORE, cache, line), (namespace.name,))
        first = await resync.heal(catch_up=0)
        await requests.create(MAPS, namespace.name, TOYS.reconcile(seen(), NOW, SETTINGS).create[0])
        return [first, await resync.heal(catch_up=0), await resync.heal(catch_up=0)]

    def seen() -> Seen:
        found = cache.seen(Key("Toy", namespace.name, "one"))
        assert found is not None
        return found

    assert through(toys.kubeconfig, heal) == [1, 1, 0]
    assert [each.words for each in seen().children[MAPS]] == ["hello"]
    namespace("delete", "toy", "one")
    namespace("delete", "configmap", "toy-one")

    async def again(requests: Api) -> int:
        return await Resync(requests, MORE, cache, Feed(MORE, cache, line), (namespace.name,)).heal(catch_up=0)

    assert through(toys.kubeconfig, again) == 2
    assert list(cache.items()) == []


def test_a_cluster_without_its_definition_is_told_in_one_sentence(bare_api: ApiServer) -> None:
    unknown = replace(TOY, plural="dolls")
    with pytest.raises(WrongDefinition, match=r"has no dolls.assay.dev: install .* crds/dolls.yaml"):
        through(bare_api.kubeconfig, lambda requests: check_definition(requests, unknown))


def test_its_rights_follow_from_the_table() -> None:
    assert {name: verbs for name, verbs in MORE.rights().items() if name not in KINDS.rights()} == {
        ("assay.dev", "toys"): {"get", "list", "watch"},
        ("assay.dev", "toys/status"): {"patch"},
        ("", "configmaps"): {"get", "list", "watch", "create", "patch"},
    }


def test_both_tables_name_the_same_kinds() -> None:
    assert {kind.custom.kind: kind.custom for kind in KINDS} == RESOURCES


def test_a_table_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        Kinds((TOYS, TOYS))
    doll = replace(TOYS, custom=replace(TOY, kind="Doll"), label="doll", children=(replace(MAP, verbs=()),))
    with pytest.raises(ValueError, match="configmaps are read in two ways"):
        Kinds((TOYS, doll))
    with pytest.raises(LookupError, match=r"no kind of resource has children of kind Secret \(v1\)"):
        MORE.resource_of({"apiVersion": "v1", "kind": "Secret"})
