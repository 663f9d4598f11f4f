import torch

from shoestring.core.rng import derive, generator, in_blocks


def test_seeds_are_what_they_always_were() -> None:
    # The first 8 bytes of BLAKE2b of "0/order/0" without the last bit: a change would reorder every published training.
    assert derive(0, "order", 0) == 1829853113658518448
    assert derive(7, "augment", 123) == 6511578119733039261
    assert torch.rand(1, generator=generator(0, "order", 0)).item() == 0.7200870513916016


def test_every_part_of_the_path_matters_and_parts_do_not_run_together() -> None:
    paths = [
        (0,),
        (1,),
        (0, "a"),
        (0, "b"),
        (0, "a", 1),
        (0, "a", 2),
        (0, "a", 12),
        (1, "a", 2),
        (0, "a", 1, 2),
        (0, 1),
    ]
    assert len({derive(*path) for path in paths}) == len(paths)
    many = {derive(0, "noise", step) for step in range(10_000)}
    assert len(many) == 10_000
    assert all(0 <= seed < 2**63 for seed in many)


def test_generators_are_fresh_and_leave_the_global_one_alone() -> None:
    state = torch.get_rng_state()
    first, second = generator(3, "x"), generator(3, "x")
    assert torch.equal(torch.randn(5, generator=first), torch.randn(5, generator=second))
    assert not torch.equal(torch.randn(5, generator=first), torch.randn(5, generator=generator(3, "x")))
    assert torch.equal(torch.get_rng_state(), state)


def test_numbers_in_blocks_do_not_depend_on_how_many_there_are() -> None:
    many = in_blocks(torch.randn, 1_201, (2, 3), 5, "sample")
    assert many.shape == (1_201, 2, 3)
    for count in (1, 499, 501, 1_000):
        assert in_blocks(torch.randn, count, (2, 3), 5, "sample").equal(many[:count])
    assert not in_blocks(torch.randn, 3, (2, 3), 6, "sample").equal(many[:3])
    assert not many[:500].equal(many[500:1_000])
