"""docker-compose.yml as a document: what the specification, a security review and a newcomer ask of it."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from compose_services import COMPOSE_FILE, REPOSITORY, interpolated, services

from lab import programs
from tailramp.spec import load_platform, load_spec

SET = {"TAILRAMP_PROBE_SECRET": "ab" * 32, "POSTGRES_PASSWORD": "of-the-test"}
OURS = {"control", "watch", "sentinel-1", "sentinel-2", "tailramp", "gateway-config", "llm-blue", "llm-green"}
ONE_SHOT = {"temporal-schema", "temporal-namespace", "gateway-config", "tailramp"}


def test_it_is_a_compose_file_by_the_specification(tmp_path: Path) -> None:
    copy = tmp_path / COMPOSE_FILE.name
    copy.write_text(interpolated(COMPOSE_FILE.read_text(encoding="utf-8"), SET), encoding="utf-8")
    checker = programs.ensure("compose-spec")
    good = subprocess.run([checker, copy.name], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert good.returncode == 0, good.stderr
    copy.write_text(copy.read_text(encoding="utf-8").replace("healthcheck:", "healthchek:", 1), encoding="utf-8")
    bad = subprocess.run([checker, copy.name], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert bad.returncode != 0, "a checker that finds nothing checks nothing"


def test_what_a_team_needs_is_there() -> None:
    needed = {"postgresql", "temporal", "temporal-ui", "prometheus", "alertmanager", "envoy", "redis"}
    assert needed | OURS <= set(services(SET))


@pytest.mark.parametrize("missing", SET)
def test_a_secret_that_is_not_set_is_asked_for_and_has_no_default(missing: str) -> None:
    given = {name: value for name, value in SET.items() if name != missing}
    with pytest.raises(KeyError, match=missing):
        services(given)


def test_every_service_that_stays_has_a_health_check_and_comes_back() -> None:
    for name, service in services(SET).items():
        if name in ONE_SHOT:
            continue
        assert service["restart"] == "unless-stopped", name
        if name != "temporal-ui":  # its image has no tool to ask with
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_our_processes_have_no_right_that_they_do_not_need() -> None:
    for name in OURS:
        service = services(SET)[name]
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_one_setting_puts_a_mirror_in_front_of_every_image_but_our_own() -> None:
    mirrored = services({**SET, "TAILRAMP_MIRROR": "mirror.test/"})
    for name, service in mirrored.items():
        ours = service["image"].startswith("tailramp:")
        assert ours or service["image"].startswith("mirror.test/"), name
        if ours:
            assert service["build"]["args"]["MIRROR"] == "mirror.test/"


def test_images_are_pinned_and_ports_stay_on_the_machine() -> None:
    for name, service in services(SET).items():
        assert re.search(r":v?\d", service["image"]), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name


def test_everything_that_is_mounted_exists() -> None:
    declared = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
    for name, service in services(SET).items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (REPOSITORY / source).exists() if source.startswith(".") else source in declared["volumes"], name


def test_the_two_files_of_the_route_are_valid_and_name_services_of_the_compose_file() -> None:
    folder = REPOSITORY / "deploy" / "compose"
    platform = load_platform(folder / "tailramp.yaml")
    assert load_spec(folder / "canary.yaml", folder / "tailramp.yaml").candidate.model == "chat-v2"
    names = set(services(SET))
    assert {slot.url.split("//")[1].split(":")[0] for slot in platform.slots.values()} <= names
    assert platform.router.kind == "envoy-file"
    assert str(platform.router.file).startswith("/var/lib/tailramp/routes/")
