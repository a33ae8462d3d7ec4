"""OIM, Eqs. (3) to (5), against loops written from the equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from maskps.losses import OIMLoss


def _unit(count: int, dim: int = 6, *, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def _filled(num_pids: int = 4, queue_length: int = 3, *, dim: int = 6, **settings: float) -> OIMLoss:
    oim = OIMLoss(num_pids, dim, queue_length, **settings)
    oim.lookup_table.copy_(_unit(num_pids, dim, seed=1))
    oim.circular_queue.copy_(_unit(queue_length, dim, seed=2))
    return oim


def _slow_loss(oim: OIMLoss, embeddings: Tensor, pids: Tensor) -> float:
    """Eqs. (3) and (5) of one image, one number at a time."""
    total, labeled = 0.0, 0
    for x, pid in zip(embeddings.tolist(), pids.tolist(), strict=True):
        if pid <= 0:
            continue
        rows = oim.lookup_table.tolist() + oim.circular_queue.tolist()
        scores = [math.exp(sum(a * b for a, b in zip(v, x, strict=True)) / oim.temperature) for v in rows]
        total -= math.log(scores[pid - 1] / sum(scores))
        labeled += 1
    return total / labeled


def _slow_update(
    table: np.ndarray, queue: np.ndarray, position: int, beta: float, embeddings: Tensor, pids: Tensor
) -> tuple[np.ndarray, np.ndarray, int]:
    """Eq. (4) and the ring, one embedding after the other."""
    table, queue = table.copy(), queue.copy()
    for x, pid in zip(embeddings.numpy(), pids.tolist(), strict=True):
        if pid > 0:
            mixed = beta * table[pid - 1] + (1 - beta) * x
            table[pid - 1] = mixed / np.linalg.norm(mixed)
        if pid == -1 and len(queue):
            queue[position] = x
            position = (position + 1) % len(queue)
    return table, queue, position


@pytest.mark.parametrize("temperature", [0.1, 1 / 30])
def test_the_loss_is_the_loop_of_the_equations(temperature: float) -> None:
    oim = _filled(temperature=temperature)
    embeddings, pids = _unit(6), torch.tensor([3, 1, -1, 0, 3, 4])
    expected = _slow_loss(oim, embeddings, pids)
    assert oim(embeddings, pids).item() == pytest.approx(expected, rel=1e-5)


def test_a_loss_worked_out_by_hand() -> None:
    # Two table rows, no queue, temperature 1: p_1 = e / (e + 1) for an embedding equal to row 1.
    oim = OIMLoss(2, 2, 0, temperature=1.0)
    oim.lookup_table.copy_(torch.eye(2))
    loss = oim(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)


def test_rows_never_filled_take_part_with_logit_zero() -> None:
    oim = OIMLoss(3, 4, 2)
    loss = oim(_unit(1, 4), torch.tensor([2]))
    assert loss.item() == pytest.approx(math.log(5), rel=1e-6)


def test_gradients_are_those_of_the_function() -> None:
    oim = _filled().double().eval()
    embeddings = _unit(5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: oim(x, torch.tensor([1, -1, 2, 0, 4])), embeddings)


def test_a_commit_before_the_way_back_leaves_the_gradient_alone() -> None:
    pids = torch.tensor([1, 1, -1, 2])
    gradients = []
    for training in (True, False):
        oim = _filled().train(training)
        embeddings = _unit(4).requires_grad_()
        loss = oim(embeddings, pids)
        oim.commit()
        loss.backward()
        gradients.append(embeddings.grad)
    assert torch.equal(gradients[0], gradients[1])


def test_a_batch_has_the_mean_over_its_images() -> None:
    """The third image has nobody labeled, the fourth nobody: zeros, which count."""
    oim, embeddings = _filled(), _unit(8)
    pids, counts = torch.tensor([1, 2, -1, 3, 4, 1, -1, -1]), [2, 4, 2, 0]
    images = [(0, 2), (2, 6)]
    alone = [_slow_loss(oim, embeddings[first:last], pids[first:last]) for first, last in images]
    assert oim(embeddings, pids, counts).item() == pytest.approx(sum(alone) / 4, rel=1e-5)


def test_the_state_moves_by_a_commit_and_by_nothing_else() -> None:
    oim, pids = _filled(), torch.tensor([1, 1, -1, 2])
    before = {key: value.clone() for key, value in oim.state_dict().items()}
    losses = [oim(_unit(4), pids), oim(_unit(4), pids)]
    assert losses[0] == losses[1]
    assert all(torch.equal(before[key], value) for key, value in oim.state_dict().items())
    oim.commit()
    assert not any(torch.equal(before[key], value) for key, value in oim.state_dict().items())
    after = {key: value.clone() for key, value in oim.state_dict().items()}
    oim.commit()
    assert all(torch.equal(after[key], value) for key, value in oim.state_dict().items())


def test_a_commit_after_two_passes_is_that_of_one_pass_with_all() -> None:
    embeddings, pids = _unit(7), torch.tensor([1, -1, 1, 2, -1, 1, 4])
    whole, parts = _filled(), _filled()
    whole(embeddings, pids)
    for first, last in ((0, 3), (3, 7)):
        parts(embeddings[first:last], pids[first:last])
    for oim in (whole, parts):
        oim.commit()
    assert all(torch.equal(value, parts.state_dict()[key]) for key, value in whole.state_dict().items())


def test_what_was_taken_is_not_committed() -> None:
    oim = _filled()
    before = oim.lookup_table.clone()
    oim(_unit(2), torch.tensor([1, 2]))
    ((embeddings, pids),) = oim.take_pending()
    oim.commit()
    assert torch.equal(oim.lookup_table, before)
    assert torch.equal(embeddings, _unit(2)) and pids.tolist() == [1, 2] and not embeddings.requires_grad


def test_a_forgotten_commit_is_warned_of_once() -> None:
    oim = _filled()
    for _ in range(99):
        oim(_unit(2), torch.tensor([1, 2]))
    with pytest.warns(UserWarning, match=r"Call commit\(\) once after each step"):
        oim(_unit(2), torch.tensor([1, 2]))
    oim(_unit(2), torch.tensor([1, 2]))  # a second warning would fail the test


def test_evaluation_mode_does_not_touch_the_state() -> None:
    oim = _filled().eval()
    before = {key: value.clone() for key, value in oim.state_dict().items()}
    oim(_unit(4), torch.tensor([1, 1, -1, 2]))
    oim.commit()
    assert all(torch.equal(before[key], value) for key, value in oim.state_dict().items())


@pytest.mark.parametrize("momentum", [0.5, 0.9])
@pytest.mark.parametrize("queue_length", [0, 1, 3, 7])
def test_updates_are_the_loop_over_many_batches(queue_length: int, momentum: float) -> None:
    oim = _filled(queue_length=queue_length, momentum=momentum)
    table, queue, position = oim.lookup_table.numpy().copy(), oim.circular_queue.numpy().copy(), 0
    generator = torch.Generator().manual_seed(5)
    for step in range(6):
        pids = torch.randint(-1, 5, (9,), generator=generator)
        embeddings = _unit(9, seed=10 + step)
        table, queue, position = _slow_update(table, queue, position, momentum, embeddings, pids)
        oim(embeddings, pids)
        oim.commit()
    np.testing.assert_allclose(oim.lookup_table, table, atol=1e-6)
    np.testing.assert_array_equal(oim.circular_queue, queue)
    assert oim.queue_position.item() == position


def test_rows_stay_of_unit_length() -> None:
    oim = OIMLoss(4, 6, 3, momentum=0.9)
    for step in range(4):
        oim(_unit(8, seed=step), torch.tensor([1, 2, 3, 4, 1, 2, 1, 1]))
        oim.commit()
    torch.testing.assert_close(oim.lookup_table.norm(dim=1), torch.ones(4))


def test_embeddings_of_one_pid_are_applied_in_order() -> None:
    first, second = _unit(2)
    oim = OIMLoss(1, 6, 0)
    oim.commit([(torch.stack([first, second]), torch.tensor([1, 1]))])
    torch.testing.assert_close(oim.lookup_table[0], F.normalize(first / 2 + second / 2, dim=0))


@pytest.mark.parametrize("batches", [[2, 2], [3, 1], [4], [11], [2, 9, 1]])
def test_the_ring_wraps_also_when_a_batch_is_longer_than_the_queue(batches: list[int]) -> None:
    oim = OIMLoss(1, 1, 3)
    values = iter(range(1, 100))
    slots, position = [0.0, 0.0, 0.0], 0
    for count in batches:
        batch = [float(next(values)) for _ in range(count)]
        for value in batch:
            slots[position] = value
            position = (position + 1) % 3
        oim.commit([(torch.tensor(batch)[:, None], torch.full((count,), -1))])
    assert oim.circular_queue[:, 0].tolist() == slots
    assert oim.queue_position.item() == position


def test_background_goes_neither_to_the_table_nor_to_the_queue() -> None:
    oim = OIMLoss(2, 6, 3)
    oim(_unit(4), torch.zeros(4, dtype=torch.int64))
    oim.commit()
    assert not oim.lookup_table.any() and not oim.circular_queue.any() and oim.queue_position == 0


@pytest.mark.parametrize("pids", [[], [-1], [0, -1, 0]])
def test_without_a_labeled_embedding_the_loss_is_zero_and_has_a_gradient(pids: list[int]) -> None:
    oim = _filled()
    embeddings = _unit(len(pids)).requires_grad_()
    loss = oim(embeddings, torch.tensor(pids, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad is not None and not embeddings.grad.any()


def test_the_state_dict_holds_table_queue_and_position() -> None:
    oim = _filled()
    oim(_unit(4), torch.tensor([1, -1, -1, 2]))
    oim.commit()
    copy = OIMLoss(4, 6, 3)
    copy.load_state_dict(oim.state_dict())
    assert set(oim.state_dict()) == {"lookup_table", "circular_queue", "queue_position"}
    assert all(torch.equal(copy.state_dict()[key], value) for key, value in oim.state_dict().items())
    assert copy.queue_position == 2


def test_under_autocast_the_loss_is_computed_in_float32() -> None:
    embeddings, pids = _unit(4), torch.tensor([1, 2, -1, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = _filled()(embeddings, pids)
    assert torch.equal(loss, _filled()(embeddings, pids))


def test_embeddings_of_half_precision_leave_the_state_in_float32() -> None:
    oim = _filled()
    loss = oim(_unit(4).to(torch.bfloat16), torch.tensor([1, 2, -1, 3]))
    oim.commit()
    assert loss.dtype == oim.lookup_table.dtype == oim.circular_queue.dtype == torch.float32
