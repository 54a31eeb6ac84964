"""Specs of ramps that name no machine: what stands in them ends up in the committed histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailramp.spec import RampSpec

ONE_STEP = ("10%", "100%")
TWO_STEPS = ("10%", "50%", "100%")


def ramp_spec(
    route: str = "chat",
    *,
    buckets: str = "00-99",
    steps: Sequence[str | dict[str, Any]] = ONE_STEP,
    auto_rollback: bool = True,
    second: str | None = None,
    sized: bool = False,
    **policy: Any,
) -> RampSpec:
    """A ramp of ``default/<route>`` from blue to green, and with ``second`` (buckets) to red beside it.

    The default target is everyone: one step of 10 %, the promotion, the bake. Any smaller target ends with a hold that
    has no end. ``sized``: every slot has a Deployment that follows the share. ``policy`` are further fields of the
    platform file's ``ramp``.
    """
    slots: dict[str, dict[str, Any]] = {
        slot: {
            "url": f"http://127.0.0.1:{port}",
            "metrics": f'slot="{slot}"',
            "gatewayMetrics": f'cluster="{slot}"',
        }
        for port, slot in enumerate(("blue", "green", *(("red",) if second else ())), start=2)
    }
    if sized:
        for slot, settings in slots.items():
            settings["workload"] = {"kind": "deployment", "name": f"chat-{slot}", "replicas": {"full": 8}}
    candidate = {
        "model": "chat-v2",
        "buckets": buckets,
        "autoRollback": auto_rollback,
        "maxLatency": "2000ms",
        "maxToxicity": 0.05,
    }
    beside = {"model": "chat-13b", "buckets": second, "maxLatency": "1000ms"}
    return RampSpec.model_validate(
        {
            "canary": {"canaries": [candidate, beside]} if second else {"canary": candidate},
            "platform": {
                "apiVersion": "tailramp/v1",
                "route": {"namespace": "default", "name": route, "publicModel": "chat"},
                "router": {
                    "kind": "envoy-file",
                    "file": "/routes/chat.json",
                    "admin": "http://127.0.0.1:1",
                    "gateway": "http://127.0.0.1:1",
                },
                "slots": slots,
                "identity": {"salt": "demo-2026"},
                "prometheus": {"url": "http://127.0.0.1:1"},
                "ramp": {"steps": list(steps), "hold": "10m", "bake": "30m", **policy},
            },
        }
    )
