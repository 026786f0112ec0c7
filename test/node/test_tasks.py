# SPDX-License-Identifier: Apache-2.0
"""Work beside the executor's thread."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from node_workers import DONE, ORDER, Worker
from std_msgs.msg import String

from meta_repo_ros.core.processor import Level
from meta_repo_ros.ros import tasks
from meta_repo_ros.ros.host import ProcessorNode


class Bench:
    """An active worker, a way to order, and what it has done."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.node: ProcessorNode = graph.add(ProcessorNode(Worker))
        self.node.trigger_configure()
        self.node.trigger_activate()
        self.publisher = graph.publisher(String, ORDER.name, ORDER.qos)
        self._done = graph.collect(String, DONE.name, DONE.qos)
        graph.spin_until(self.node._own_publishers[0].get_subscription_count, 'output matched')

    @property
    def worker(self) -> Any:
        return self.node.processor

    @property
    def done(self) -> list[str]:
        return [message.data for message in self._done]

    def order(self, *texts: str) -> None:
        before = self.node.statistics.received
        for text in texts:
            self.publisher.publish(String(data=text))
        self.graph.spin_until(
            lambda: self.node.statistics.received == before + len(texts), 'orders taken'
        )

    def until(self, condition: Any, what: str) -> None:
        self.graph.spin_until(condition, what)


@pytest.fixture
def bench(graph: Any) -> Bench:
    return Bench(graph)


def test_a_task_runs_beside_the_executor_and_its_result_comes_back(bench: Bench) -> None:
    assert bench.node._tasks is None, 'no thread without work'
    bench.order('a:1')
    bench.until(lambda: bench.worker.begun == ['1'], 'task begun')
    assert bench.done == []
    bench.worker.gate.set()
    bench.until(lambda: bench.done == ['a:1'], 'result')
    bench.order('a:2')
    bench.until(lambda: bench.done == ['a:1', 'a:2'], 'second result')
    (thread,) = bench.worker.threads
    assert thread != threading.get_ident()


def test_a_newer_task_takes_the_place_of_one_of_its_name_that_waits(bench: Bench) -> None:
    bench.order('a:1')
    bench.until(lambda: bench.worker.begun == ['1'], 'first begun')
    bench.order('a:2', 'b:3', 'a:4', 'a:5')
    row = bench.node._tasks.row()
    assert row.level == Level.WARN
    assert row.message == '2 dropped for newer ones: too slow'
    assert row.values['waiting'] == 2
    bench.worker.gate.set()
    bench.until(lambda: len(bench.done) == 3, 'results')
    assert bench.done == ['a:1', 'b:3', 'a:5']
    row = bench.node._tasks.row()
    assert (row.level, row.message) == (Level.OK, 'idle')
    assert (row.values['a: started'], row.values['a: dropped'], row.values['b: started']) == (
        2,
        2,
        1,
    )
    assert 0.0 < row.values['a: last (s)'] <= row.values['a: longest (s)']


def test_an_exception_is_the_result_and_shown(bench: Bench) -> None:
    bench.worker.gate.set()
    bench.order('a:raise')
    bench.until(lambda: bench.done, 'result')
    assert bench.done == ['a:on purpose']
    assert isinstance(bench.worker.results[0], ArithmeticError)
    (_, row) = bench.node.diagnostics(0)
    assert row.level == Level.WARN
    assert row.message == '1 failed, last a: ArithmeticError: on purpose'
    bench.order('a:fail late')
    bench.until(lambda: bench.node.statistics.exceptions == 1, 'exception of on_result counted')
    assert 'the result cannot be used' in bench.node.statistics.last_exception
    bench.order('a:2')
    bench.until(lambda: bench.done[-1] == 'a:2', 'works on')


@pytest.mark.parametrize('end', ['deactivate', 'clock', 'cleanup'])
def test_results_of_a_time_before_are_dropped(bench: Bench, end: str) -> None:
    bench.order('a:1')
    bench.until(lambda: bench.worker.begun == ['1'], 'task begun')
    bench.order('b:2')
    worker = bench.worker
    if end == 'clock':
        bench.node.on_clock_reset(0)
    else:
        bench.node.trigger_deactivate()
        if end == 'cleanup':
            bench.node.trigger_cleanup()
            bench.node.trigger_configure()
        bench.node.trigger_activate()
    worker.gate.set()
    bench.worker.gate.set()
    bench.order('a:3')
    bench.until(lambda: 'a:3' in bench.done, 'new task')
    assert bench.done == ['a:3']
    assert worker.begun[:2] != ['1', '2'], 'what waited is never begun'


def test_a_node_ends_while_a_task_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, 'WAIT_S', 0.05)
    bench.order('a:1')
    bench.until(lambda: bench.worker.begun == ['1'], 'task begun')
    gate, runner = bench.worker.gate, bench.node._tasks
    bench.node.trigger_shutdown()
    assert bench.node.state_label == 'finalized'
    assert tasks.unfinished()
    bench.graph.remove(bench.node)
    gate.set()
    runner._thread.join(10.0)
    assert not tasks.unfinished()
    bench.graph.spin_for(0.05)
    assert bench.done == []
