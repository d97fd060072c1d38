from __future__ import annotations

import pytest

from assay_operator.settings import Settings, SettingsError, from_environment

IMAGE = {"ASSAY_RUNNER_IMAGE": "runner:1"}


def test_an_image_is_all_it_needs() -> None:
    settings = from_environment(IMAGE)
    assert settings == Settings(
        runner_image="runner:1", identity=settings.identity, lease_namespace=settings.lease_namespace
    )
    assert from_environment(IMAGE).identity != settings.identity


def test_everything_is_read() -> None:
    settings = from_environment(
        {
            **IMAGE, "ASSAY_NAMESPACES": "a, b,a", "ASSAY_RESYNC_SECONDS": "60", "ASSAY_LEASE_NAME": "x",
            "ASSAY_LEASE_NAMESPACE": "y", "POD_NAME": "pod-1", "ASSAY_LOG_FORMAT": "json",
            "ASSAY_RUNNER_PULL_POLICY": "Always", "ASSAY_PROBE_PORT": "0",
            "ASSAY_STORAGE_RETRY_SECONDS": "600", "ASSAY_LEASE_RETRY_SECONDS": "3",
            "ASSAY_GPU_HOUR_PRICES": '{"default": 2, "NVIDIA-L4": 0.7}',
        }
    )  # fmt: skip
    assert settings.namespaces == ("a", "b")
    assert settings.resync_seconds == 60
    assert settings.gpu_hour_prices == {"default": 2.0, "NVIDIA-L4": 0.7}
    assert (settings.lease_name, settings.lease_namespace) == ("x", "y")
    assert (settings.storage_retry_seconds, settings.retry_seconds) == (600, 3)
    assert settings.identity.startswith("pod-1_")
    assert (settings.log_format, settings.runner_pull_policy, settings.probe_port) == ("json", "Always", 0)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "ASSAY_RUNNER_IMAGE is not set"),
        ({"ASSAY_RUNNER_IMAGE": " "}, "ASSAY_RUNNER_IMAGE is not set"),
        ({**IMAGE, "ASSAY_NAMESPACES": "a,B"}, "ASSAY_NAMESPACES"),
        ({**IMAGE, "ASSAY_NAMESPACES": "a b"}, "'a b' cannot be one"),
        ({**IMAGE, "ASSAY_RESYNC_SECONDS": "soon"}, "takes a number"),
        ({**IMAGE, "ASSAY_RESYNC_SECONDS": "0"}, "1 or more"),
        ({**IMAGE, "ASSAY_RESYNC_SECONDS": "nan"}, "1 or more"),
        ({**IMAGE, "ASSAY_WORKERS": "1.5"}, "takes a number"),
        ({**IMAGE, "ASSAY_RUNNER_PULL_POLICY": "Sometimes"}, "IfNotPresent, Always, Never"),
        ({**IMAGE, "ASSAY_LOG_FORMAT": "xml"}, "text, json"),
        ({**IMAGE, "ASSAY_STORAGE_RETRY_SECONDS": "-1"}, "0 or more"),
        ({**IMAGE, "ASSAY_LEASE_SECONDS": "5"}, "must exceed"),
        ({**IMAGE, "ASSAY_GPU_HOUR_PRICES": "2.5"}, "takes prices by GPU product"),
        ({**IMAGE, "ASSAY_GPU_HOUR_PRICES": "{"}, "takes JSON of prices"),
        ({**IMAGE, "ASSAY_GPU_HOUR_PRICES": '{"L4": "much"}'}, "L4 takes a price of 0 or more"),
        ({**IMAGE, "ASSAY_GPU_HOUR_PRICES": '{"L4": -1}'}, "L4 takes a price of 0 or more"),
        ({**IMAGE, "ASSAY_GPU_HOUR_PRICES": '{"L4": NaN}'}, "L4 takes a price of 0 or more"),
    ],
)
def test_a_wrong_setting_is_one_sentence(env: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        from_environment(env)
    assert str(caught.value).count("\n") == 0
