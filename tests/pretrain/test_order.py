"""Orders of epochs: complete, shuffled, within memory, and exact after any interruption."""
import numpy as np
import pytest

from sapiens_mm.pretrain.order import Permutation, Stage, StreamOrder, batches_per_rank


@pytest.mark.parametrize('size', [1, 2, 3, 63, 64, 65, 1000])
def test_a_permutation_has_every_element_once_and_no_pattern(size):
    order = Permutation(size, (3, 7))(np.arange(size))
    assert sorted(order.tolist()) == list(range(size))
    if size == 1000:
        other = Permutation(size, (3, 8))(np.arange(size))
        for a, b in ((order, other), (order, np.arange(size)), (order[1:], order[:-1])):
            assert abs(np.corrcoef(a, b)[0, 1]) < 0.15


def consume(order, stage):
    """Batches that each process trains on in a stage, as a data loader hands them out: (process, batch) -> places."""
    taken = {}
    for rank in range(stage.world_size):
        lanes = [order.of_worker(stage.world_size, rank, stage.num_workers, w, stage.batch_size)
                 for w in range(max(stage.num_workers, 1))]
        for k in range(stage.batches):
            lane = lanes[k % len(lanes)]
            start = k // len(lanes) * stage.batch_size
            assert start + stage.batch_size <= len(lane)
            taken[rank, k] = lane[start:start + stage.batch_size].tolist()
    return taken


@pytest.mark.parametrize('count, world_size, num_workers, batch_size', [
    (100, 1, 0, 10), (103, 1, 2, 8), (1000, 4, 3, 16), (7, 4, 2, 4), (256, 2, 5, 8)])
def test_an_epoch_takes_every_sample_and_few_twice(count, world_size, num_workers, batch_size):
    batches = batches_per_rank(count, world_size, batch_size, drop_last=False)
    order = StreamOrder(count, 1, 2, window=20)
    taken = sum(consume(order, Stage(world_size, num_workers, batch_size, batches)).values(), [])
    assert set(taken) == set(range(count))
    assert len(taken) == world_size * batches * batch_size
    assert len(taken) - count <= world_size * batch_size


def test_a_dropped_last_batch_takes_none_twice():
    order = StreamOrder(103, 1, 2, window=20, drop_last=True)
    taken = sum(consume(order, Stage(2, 2, 8, batches_per_rank(103, 2, 8, drop_last=True))).values(), [])
    assert len(taken) == len(set(taken)) == 96


@pytest.mark.parametrize('seed', range(6))
def test_any_interruptions_leave_exactly_what_was_not_trained_on(seed):
    rng = np.random.default_rng(seed)
    count, stages, taken = int(rng.integers(200, 900)), (), []
    for _ in range(12):
        order = StreamOrder(count, 5, 6, window=30, stages=stages)
        assert order.count == count - len(set(taken))
        world_size, num_workers, batch_size = (int(rng.integers(*r)) for r in ((1, 4), (0, 4), (1, 9)))
        left = batches_per_rank(order.count, world_size, batch_size, drop_last=False)
        stage = Stage(world_size, num_workers, batch_size, int(rng.integers(0, left + 1)) if left else 0)
        new = sum(consume(order, stage).values(), [])
        assert not set(new) & set(taken)
        assert len(new) - len(set(new)) <= world_size * max(num_workers, 1) * batch_size
        taken += new
        stages += (stage, )
    order = StreamOrder(count, 5, 6, window=30, stages=stages)
    if order.count:
        taken += sum(consume(order, Stage(2, 2, 4, batches_per_rank(order.count, 2, 4, False))).values(), [])
    assert set(taken) == set(range(count))


@pytest.mark.parametrize('seed', range(4))
def test_interruptions_of_an_epoch_that_drops_its_last_batches_leave_less_than_a_step(seed):
    rng = np.random.default_rng(seed)
    count, stages, taken = int(rng.integers(300, 900)), (), []
    for _ in range(5):
        order = StreamOrder(count, 5, 6, 30, True, stages)
        assert order.count == count - len(taken)
        world_size, num_workers, batch_size = (int(rng.integers(*r)) for r in ((1, 4), (0, 4), (1, 9)))
        left = batches_per_rank(order.count, world_size, batch_size, drop_last=True)
        stage = Stage(world_size, num_workers, batch_size, int(rng.integers(0, left // 2 + 1)))
        taken += sum(consume(order, stage).values(), [])
        stages += (stage, )
    order = StreamOrder(count, 5, 6, 30, True, stages)
    taken += sum(consume(order, Stage(2, 3, 4, batches_per_rank(order.count, 2, 4, True))).values(), [])
    assert len(taken) == len(set(taken)) and 0 <= count - len(taken) < 2 * 4 + 2


def test_twenty_interruptions_cost_no_time():
    """What the stages have left is worked out once, not once for each way that leads to it."""
    stages = (Stage(16, 4, 8, 100), ) * 20
    order = StreamOrder(16 * 8 * 100 * 25, 1, 0, 100, stages=stages)
    took = order._take
    asked = []
    order._take = lambda depth, *args: asked.append(depth) or took(depth, *args)
    assert len(set(order.of_worker(16, 7, 4, 2, 8).tolist())) == order.count // 16 // 4
    assert len(asked) < 1000


def test_the_same_run_gives_the_same_order_and_the_next_epoch_another():
    a, b, c = (StreamOrder(500, 1, epoch, window=50).of_worker(1, 0, 2, 1, 10) for epoch in (0, 0, 1))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize('window', [1, 10, 100])
def test_shuffling_never_needs_more_than_its_window(window):
    places = StreamOrder(1000, 1, 0, window).of_worker(1, 0, 0, 0, 10)
    read, held, most = -1, set(), 0
    for place in places.tolist():
        while read < place:
            read += 1
            held.add(read)
        held.remove(place)
        most = max(most, len(held))
    assert most < window
    distance = np.abs(places - np.arange(1000)).mean()
    assert (distance == 0) == (window == 1) and distance >= (window - 1) / 8
