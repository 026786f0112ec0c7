# SPDX-License-Identifier: Apache-2.0
"""The offline host: order, routing, ticks, and the same bytes twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from geometry_msgs.msg import QuaternionStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import Imu
from std_msgs.msg import Float64, Int64, String

from meta_repo_ros.core.parameters import parameter
from meta_repo_ros.core.processor import (
    Diagnostic,
    Feedback,
    Finished,
    GoalStatus,
    Level,
    Output,
    Processor,
    Task,
    Topic,
)
from meta_repo_ros.core.time import set_stamp, stamp_ns
from meta_repo_ros.replay import offline
from meta_repo_ros.replay.bag_reader import BagReader
from meta_repo_ros.replay.bag_writer import BagWriter
from meta_repo_ros.replay.definitions import Definition
from meta_repo_ros.replay.errors import BagError

if TYPE_CHECKING:
    from pathlib import Path

IMU = Topic('imu/data_raw', 'sensor_msgs/msg/Imu', 'STREAM')
TEXT = Topic('a/text', 'std_msgs/msg/String', 'STATE')
MEAN = Topic('mean', 'std_msgs/msg/Float64', 'STATE')
TURN = Topic('turn', 'geometry_msgs/msg/QuaternionStamped', 'STATE')
COUNT = Topic('count', 'std_msgs/msg/Int64', 'LATCHED')
MS = 1_000_000
START = 10**18


@dataclass(frozen=True)
class Parameters:
    """Of all processors here."""

    gain: float = parameter(0.1, 'Gain of the mean.')


class Mean(Processor):
    """A running mean: the output depends on the order of all inputs."""

    name = 'mean'
    Parameters = Parameters
    inputs = (IMU,)
    outputs = (MEAN,)

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.value = 0.0

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:
        assert topic == IMU.name
        del stamp
        self.value += self.parameters.gain * (message.angular_velocity.x - self.value)
        return (Output('mean', Float64(data=self.value)),)

    def diagnostics(self, stamp: int) -> Sequence[Diagnostic]:
        del stamp
        return (Diagnostic('filter', Level.WARN, 'so so', {'value': self.value}),)


class Turn(Processor):
    """Takes the other's output and ticks: what it gives at a tick shows what came before."""

    name = 'turn'
    Parameters = Parameters
    inputs = (MEAN, TEXT)
    outputs = (TURN, COUNT)
    timer_period_ns: ClassVar[int] = 100 * MS  # type: ignore[assignment]

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.seen: list[tuple[int, str]] = []
        self.ticks: list[int] = []

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:
        self.seen.append((stamp, topic))
        if topic == 'a/text':
            return ()
        assert type(message).__module__ != 'std_msgs.msg._float64'  # has gone through CDR
        return (Output('count', Int64(data=len(self.seen))),)

    def on_timer(self, stamp: int) -> Sequence[Output]:
        self.ticks.append(stamp)
        result = QuaternionStamped()
        set_stamp(result.header.stamp, stamp)
        result.quaternion.x = float(len(self.seen))
        return (Output('turn', result),)


def both() -> list[Processor]:
    return [Mean(Parameters()), Turn(Parameters())]


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    path = tmp_path / 'in'
    with BagWriter(path) as writer:
        writer.add_topic(IMU.name, IMU.type, IMU.qos)
        writer.add_topic(TEXT.name, TEXT.type, TEXT.qos)
        writer.add_topic('/other', 'std_msgs/msg/String')
        writer.add_topic('/mean', 'std_msgs/msg/Float64')
        for number in range(200):
            message = Imu()
            message.angular_velocity.x = (number * 7 % 11) / 3
            writer.write(IMU.name, START + number * 5 * MS, message)
            if number % 20 == 0:
                writer.write('/mean', START + number * 5 * MS, Float64(data=99.0))
                writer.write(TEXT.name, START + number * 5 * MS, String(data='x'))
                writer.write('/other', START + number * 5 * MS, String(data='y'))
    return path


def test_two_runs_give_the_same_bytes(bag: Path, tmp_path: Path) -> None:
    results, contents = [], []
    for folder in ('a', 'b'):
        out = tmp_path / folder / 'out'
        results.append(offline.run(bag, both(), out, include_inputs=True))
        contents.append({file.name: file.read_bytes() for file in out.iterdir()})
    first, second = results
    assert contents[0] == contents[1]
    assert (first.digest, first.raw_digest) == (second.digest, second.raw_digest)
    other = offline.run(bag, [Mean(Parameters(gain=0.2)), Turn(Parameters())])
    assert other.digest != first.digest
    assert other.raw_digest != first.raw_digest
    # A difference in the last bits does not show in the rounded digest.
    close = offline.run(bag, [Mean(Parameters(gain=0.1 * (1 + 1e-13))), Turn(Parameters())])
    assert close.raw_digest != first.raw_digest
    assert close.digest == first.digest


def test_results_count_and_tell(bag: Path, tmp_path: Path) -> None:
    progress: list[float] = []
    result = offline.run(bag, both(), tmp_path / 'out', progress=progress.append)
    assert result.counts_in == {'/imu/data_raw': 200, '/a/text': 10}
    assert result.counts_out == {'/mean': 200, '/count': 200, '/turn': 10, '/diagnostics': 1}
    assert result.duration_ns == 199 * 5 * MS
    assert [row.message for row in result.diagnostics['mean']] == ['so so']
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert result.real_time_factor > 1
    with BagReader(tmp_path / 'out') as out:
        assert '/imu/data_raw' not in out.topics
        (status,) = next(m for _, t, _, m in out.messages() if t == '/diagnostics').status
        assert (status.name, status.level, status.hardware_id) == ('mean: filter', 1, 'vehicle')
        assert out.topics['/count'].qos[0].durability.name == 'TRANSIENT_LOCAL'


def test_order_and_ticks(bag: Path) -> None:
    mean, turn = both()
    assert isinstance(turn, Turn)
    offline.run(bag, [mean, turn])
    assert turn.ticks == [START + k * 100 * MS for k in range(10)]
    # At equal times by topic: /a/text before what /imu/data_raw causes; ticks after messages.
    assert turn.seen[:3] == [(START, 'a/text'), (START, 'mean'), (START + 5 * MS, 'mean')]
    with BagReader(bag) as reader:
        ticks = [e for e in offline.iterate(reader, both()) if e.topic == '/turn']
    assert [e.message.quaternion.x for e in ticks][:2] == [2.0, 23.0]
    assert all(stamp_ns(e.message.header.stamp) == e.stamp for e in ticks)


def test_inputs_are_copied_before_what_they_cause(bag: Path, tmp_path: Path) -> None:
    offline.run(bag, both(), tmp_path / 'out', include_inputs=True)
    with BagReader(tmp_path / 'out') as out, BagReader(bag) as source:
        order = [(m.receive_ns, m.topic) for m in out.raw()]
        assert [topic for _, topic in order[:5]] == [
            '/a/text', '/imu/data_raw', '/mean', '/count', '/other',
        ]  # fmt: skip
        assert [stamp for stamp, _ in order] == sorted(stamp for stamp, _ in order)
        copied = list(out.raw({'/imu/data_raw', '/other'}))
        assert [m.data for m in copied if m.topic == '/other'] == [
            m.data for m in source.raw({'/other'})
        ]
        assert len(copied) == 210
        # What a processor gives is not taken from the bag.
        values = [m.data for _, _, _, m in out.messages({'/mean'})]
        assert len(values) == 200
        assert 99.0 not in values


def test_watched_topics_pass_through(bag: Path) -> None:
    with BagReader(bag) as reader:
        events = list(offline.iterate(reader, [Mean(Parameters())], watch=['other', IMU.name]))
    sources = [e.source for e in events if e.topic == '/imu/data_raw']
    assert sources == [''] * 200
    assert sum(e.topic == '/other' for e in events) == 10
    assert sum(e.topic == '/mean' and e.source == 'mean' for e in events) == 200


def test_namespaces_and_remaps(bag: Path, tmp_path: Path) -> None:
    none = offline.run(bag, both(), namespace='/uav1')
    assert none.counts_in == {}
    remaps = {IMU.name: '/imu/data_raw', 'mean': 'average'}
    result = offline.run(
        bag, [Mean(Parameters())], tmp_path / 'out', namespace='uav1', remaps=remaps
    )
    assert result.counts_out['/uav1/average'] == 200
    with BagReader(tmp_path / 'out') as out:
        (status,) = next(m for _, t, _, m in out.messages() if t == '/diagnostics').status
        assert (status.name, status.hardware_id) == ('uav1/mean: filter', 'uav1')


class Solver(Turn):
    """Works on each text for ``latency``; what came when is its state."""

    name = 'solver'
    latency = 150 * MS

    def __init__(self, parameters: Any, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.came: list[tuple[int, str, Any]] = []

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Any]:
        if topic != 'a/text':
            return super().on_message(topic, message, stamp)
        self.came.append((stamp, 'text', message.data))
        return (
            Feedback('solve', String()),
            Task('solve', lambda: self.work(message.data), self.latency),
            Finished('solve', GoalStatus.SUCCEEDED, String()),
        )

    def work(self, text: str) -> str:
        if sum(name == 'text' for _, name, _ in self.came) == 3:
            raise ArithmeticError('on purpose')
        return text * 2

    def on_timer(self, stamp: int) -> Sequence[Output]:
        self.came.append((stamp, 'tick', None))
        return super().on_timer(stamp)

    def on_result(self, name: str, result: Any, stamp: int) -> Sequence[Any]:
        self.came.append((stamp, name, result))
        self.seen.append((stamp, name))
        return (Output('count', Int64(data=len(self.seen))),)


def test_results_of_tasks_come_later_in_one_order(bag: Path, tmp_path: Path) -> None:
    solver, first = Solver(Parameters()), None
    for folder in ('a', 'b'):
        solver = Solver(Parameters())
        result = offline.run(bag, [Mean(Parameters()), solver], tmp_path / folder)
        if first is None:
            first = result
    assert first is not None
    assert (first.digest, first.raw_digest) == (result.digest, result.raw_digest)
    results = [(stamp, what) for stamp, name, what in solver.came if name == 'solve']
    # texts come every 100 ms; the last two results come when the bag has ended
    assert [stamp for stamp, _ in results] == [START + (150 + 100 * k) * MS for k in range(10)]
    assert {what for _, what in results if isinstance(what, str)} == {'xx'}
    (error,) = (what for _, what in results if not isinstance(what, str))
    assert isinstance(error, ArithmeticError)
    assert solver.ticks == [START + k * 100 * MS for k in range(10)], 'no ticks after the end'
    assert [stamp for stamp, *_ in solver.came] == sorted(stamp for stamp, *_ in solver.came)
    with BagReader(tmp_path / 'a') as out:
        counts = list(out.raw({'/count'}))
    assert counts[-1].receive_ns == START + 1050 * MS
    assert first.counts_out['/count'] == 200 + 10


@pytest.mark.parametrize('latency', [0, 100 * MS])
def test_results_come_after_messages_and_before_ticks(bag: Path, latency: int) -> None:
    solver = Solver(Parameters())
    solver.latency = latency
    offline.run(bag, [solver])
    at = START + 200 * MS
    assert [name for stamp, name, _ in solver.came if stamp == at] == ['text', 'solve', 'tick']


def test_tasks_of_one_do_not_change_what_another_gives(bag: Path) -> None:
    def means(*processors: Processor) -> list[tuple[int, bytes]]:
        with BagReader(bag) as reader:
            events = offline.iterate(reader, processors)
            return [(e.stamp, e.data) for e in events if e.topic == '/mean']

    assert means(Mean(Parameters()), Solver(Parameters())) == means(Mean(Parameters()))


def test_a_result_in_the_past_is_an_error(bag: Path) -> None:
    solver = Solver(Parameters())
    solver.latency = -1
    with pytest.raises(RuntimeError, match='solver: the result of solve is in the past'):
        offline.run(bag, [solver])


class Broken(Mean):
    """Gives what ``wrong`` says."""

    inputs = (IMU, MEAN)
    wrong: Callable[[], Output]

    def on_message(self, topic: str, message: Any, stamp: int) -> Sequence[Output]:
        del topic, message, stamp
        return (self.wrong(),)


@pytest.mark.parametrize(
    ('wrong', 'error', 'reason'),
    [
        (lambda: Output('other', String()), RuntimeError, 'undeclared topic'),
        (lambda: Output('mean', String()), TypeError, 'mean is std_msgs/msg/Float64'),
        (lambda: Output('mean', Float64()), RuntimeError, 'without end'),
    ],
)
def test_a_processor_that_breaks_the_rules_is_named(
    bag: Path, wrong: Any, error: type[Exception], reason: str
) -> None:
    processor = Broken(Parameters())
    processor.wrong = wrong
    with pytest.raises(error, match=reason):
        offline.run(bag, [processor])


def test_another_definition_stops_the_run(tmp_path: Path) -> None:
    definition = Definition('std_msgs/msg/String', 'ros2msg', 'string text\n')
    with BagWriter(tmp_path / 'in') as writer:
        writer.add_topic(TEXT.name, TEXT.type, definition=definition)
    with pytest.raises(BagError, match=r'/a/text.*data is missing in the bag'):
        offline.run(tmp_path / 'in', [Turn(Parameters())])


def test_an_empty_bag_gives_an_empty_result(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'in') as writer:
        writer.add_topic(IMU.name, IMU.type)
    result = offline.run(tmp_path / 'in', both(), tmp_path / 'out')
    assert (result.counts_in, result.duration_ns) == ({}, 0)


@settings(max_examples=20, deadline=None)
@given(stamps=st.lists(st.integers(0, 400), max_size=12), period=st.integers(1, 120))
def test_ticks_are_at_exact_multiples(
    tmp_path_factory: pytest.TempPathFactory, stamps: list[int], period: int
) -> None:
    path = tmp_path_factory.mktemp('ticks') / 'in'
    with BagWriter(path) as writer:
        writer.add_topic(TEXT.name, TEXT.type)
        for stamp in sorted(stamps):
            writer.write(TEXT.name, stamp, String())
    turn = Turn(Parameters())
    turn.timer_period_ns = period  # type: ignore[misc]
    offline.run(path, [turn])
    first, last = (min(stamps), max(stamps)) if stamps else (0, 0)
    expected = [tick for tick in range(0, last + 1, period) if tick >= first]
    assert turn.ticks == expected
    # Each message in order, and each tick after the messages of its time.
    assert [stamp for stamp, _ in turn.seen] == sorted(stamps)
