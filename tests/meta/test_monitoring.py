"""The files for Prometheus, Grafana and compose, judged by their own tools."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.components import program
from tests.monitoring import ALERTS, CONFIG, DASHBOARDS, alert_queries, dashboard_queries

ROOT = CONFIG.parent
COMPOSE = {name: yaml.safe_load((ROOT / name).read_text()) for name in ("compose.yaml", "compose.nodes.yaml")}
NODES = COMPOSE["compose.nodes.yaml"]
every_file = pytest.mark.parametrize("file", list(COMPOSE))
KEYS = {"WSPRISM_API_KEY": "one", "WSPRISM_OPERATOR_KEY": "two"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yaml"),
        ("check", "config", "prometheus.nodes.yaml"),
        ("check", "rules", "alerts.yaml"),
        ("test", "rules", "alerts_test.yaml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_no_fault(arguments: tuple[str, ...]) -> None:
    directory = CONFIG / "prometheus"
    told = subprocess.run([program("promtool"), *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_every_alert_is_tried_firing_and_quiet() -> None:
    tests = yaml.safe_load((CONFIG / "prometheus" / "alerts_test.yaml").read_text())["tests"]
    tried = [(one["alertname"], bool(one["exp_alerts"])) for test in tests for one in test["alert_rule_test"]]
    assert sorted(tried) == sorted((rule["alert"], fires) for rule in ALERTS for fires in (True, False))


@every_file
def test_compose_takes_the_file_and_wants_the_keys(file: str) -> None:
    command = [program("docker-compose"), "-f", str(ROOT / file), "config", "--quiet"]
    for keys, works in ((KEYS, True), ({}, False)):
        told = subprocess.run(command, env=os.environ | keys, capture_output=True, text=True, check=False)
        assert (told.returncode == 0) is works, told.stderr


@every_file
def test_what_compose_mounts_is_there(file: str) -> None:
    mounts = [mount for service in COMPOSE[file]["services"].values() for mount in service.get("volumes", ())]
    sources = {mount.split(":")[0] for mount in mounts}
    assert {source for source in sources if source.startswith("./") and not (ROOT / source).exists()} == set()
    assert {source for source in sources if not source.startswith("./")} == set(COMPOSE[file]["volumes"])


@every_file
def test_compose_pins_images_and_sets_what_the_configuration_reads(file: str) -> None:
    services = COMPOSE[file]["services"]
    assert all(re.search(r":v?\d+\.\d+", one["image"]) for one in services.values() if "build" not in one)
    for gateway in (one for one in services.values() if "build" in one):
        [mount] = gateway["volumes"]
        read = set(re.findall(r"\$\{(\w+)", (ROOT / mount.split(":")[0]).read_text()))
        assert set(gateway["environment"]) == read


def test_the_proxy_of_nodes_asks_them_where_they_are_and_is_believed_by_them() -> None:
    services = NODES["services"]
    proxy, one, two = (services[name]["networks"]["front"]["ipv4_address"] for name in ("proxy", "one", "two"))
    asked = re.findall(r"^    server (\S+):8080 ", (CONFIG / "proxies" / "nginx-nodes.conf").read_text(), re.MULTILINE)
    assert asked == [one, two]
    network = ipaddress.ip_network(NODES["networks"]["front"]["ipam"]["config"][0]["subnet"])
    assert all(ipaddress.ip_address(address) in network for address in (proxy, one, two))
    nodes = [services["one"]["environment"], services["two"]["environment"]]
    assert [node["WSPRISM_PROXY_NETWORK"] for node in nodes] == [f"{proxy}/32"] * 2
    assert len({node["WSPRISM_NODE"] for node in nodes}) == 2


def test_prometheus_scrapes_every_node_as_it_scrapes_one_gateway() -> None:
    one, nodes = (
        yaml.safe_load((CONFIG / "prometheus" / name).read_text())
        for name in ("prometheus.yaml", "prometheus.nodes.yaml")
    )
    command = NODES["services"]["prometheus"]["command"]
    assert "--config.file=/etc/prometheus/prometheus.nodes.yaml" in command
    [its] = nodes["scrape_configs"][0].pop("static_configs")
    one["scrape_configs"][0].pop("static_configs")
    assert nodes == one
    built = {name: service for name, service in NODES["services"].items() if "build" in service}
    assert its["targets"] == [
        f"{name}:{service['environment']['WSPRISM_INTERNAL_LISTEN'].rpartition(':')[2]}"
        for name, service in built.items()
    ]


def test_only_nodes_reach_the_redis_of_nodes_which_forgets_nothing() -> None:
    services = NODES["services"]
    assert NODES["networks"]["broker"]["internal"] is True
    assert {name for name, one in services.items() if "broker" in one["networks"]} == {"one", "two", "redis"}
    assert services["redis"]["networks"] == ["broker"]
    assert "ports" not in services["redis"]
    assert "noeviction" in services["redis"]["command"]


def test_panels_have_ids_of_their_own_and_say_what_they_show() -> None:
    for path in DASHBOARDS:
        panels = json.loads(path.read_text())["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert all(panel["description"] for panel in panels if panel["type"] != "row")


def test_what_is_matched_by_instance_is_matched_by_worker_too() -> None:
    """Several workers are one instance: Prometheus refuses to match many with many."""
    queries = [*alert_queries(), *(query for path in DASHBOARDS for query in dashboard_queries(path))]
    matched = [set(re.split(r", *", labels)) for query in queries for labels in re.findall(r"\bon *\(([^)]*)\)", query)]
    assert matched
    assert all("worker" in labels for labels in matched if "instance" in labels)


def test_every_kernel_setting_exists() -> None:
    if not Path("/proc/sys").is_dir():
        pytest.skip("not Linux")
    settings = re.findall(r"^([\w.]+) = ", (CONFIG / "sysctl" / "90-wsprism.conf").read_text(), re.MULTILINE)
    assert len(settings) == 4
    assert all((Path("/proc/sys") / name.replace(".", "/")).exists() for name in settings)
