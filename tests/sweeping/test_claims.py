import json
import os
import subprocess
import sys
import threading
import time

import pytest

from shoestring.sweeping import claims as module
from shoestring.sweeping.claims import Claims, this_machine


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path / "claims", silent_seconds=0.5)


def of(claims, name, number, machine, pid, age=0.0):
    """Writes the claim of another process."""
    claims.folder.mkdir(exist_ok=True)
    file = claims.folder / f"{name}.{number}"
    file.write_text(json.dumps({"machine": machine, "pid": pid}))
    os.utime(file, (time.time() - age,) * 2)
    return file


def gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_claim_excludes_all_others_until_it_is_given_back(claims):
    with claims.take("a") as claim:
        assert claims.take("a") is None
        assert not claim.lost
        with claims.take("b"):
            pass
    with claims.take("a"):
        pass
    assert list(claims.folder.iterdir()) == []


def test_of_many_that_want_it_one_gets_it(claims):
    barrier, got = threading.Barrier(16), []

    def want():
        barrier.wait()
        if claim := claims.take("a"):
            got.append(claim)

    threads = [threading.Thread(target=want) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


@pytest.mark.skipif(os.name == "nt", reason="processes are not looked for there")
def test_the_claim_of_a_process_that_is_gone_is_taken_at_once(claims):
    of(claims, "a", 1, this_machine(), gone())
    assert claims.deaths("a") == 1
    with claims.take("a") as claim:
        assert claim.file.name == "a.2"
        assert claims.deaths("a") == 1
        assert claims.take("a") is None


def test_another_machine_is_taken_for_dead_after_a_silence(claims):
    of(claims, "a", 1, "elsewhere", os.getpid(), age=0.2)
    assert claims.take("a") is None
    assert claims.deaths("a") == 0
    of(claims, "a", 1, "elsewhere", os.getpid(), age=0.7)
    assert claims.deaths("a") == 1
    assert claims.take("a") is not None


def test_signs_of_life_are_given_while_it_is_held(claims, monkeypatch):
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    with claims.take("a") as claim:
        os.utime(claim.file, (0, 0))
        deadline = time.monotonic() + 5
        while claim.file.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("followed", [True, False])
def test_one_that_was_taken_for_dead_sees_it_and_leaves_the_other_alone(claims, monkeypatch, followed):
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    with claims.take("a") as claim:
        if followed:
            other = of(claims, "a", 2, "elsewhere", 1)
        else:  # the other one has ended meanwhile, and removed all claims
            claims.forget(["a"])
        deadline = time.monotonic() + 5
        while not claim.lost:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    if followed:
        assert other.exists()
        assert claims.take("a") is None


def test_never_two_at_once_however_often_it_changes_hands(claims):
    inside, most, rounds, guard = 0, 0, 0, threading.Lock()

    def work():
        nonlocal inside, most, rounds
        while rounds < 400:
            if claim := claims.take("a"):
                with guard:
                    inside, rounds = inside + 1, rounds + 1
                    most = max(most, inside)
                time.sleep(0.0002)
                with guard:
                    inside -= 1
                claim.file.unlink()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_one_given_back_while_it_is_looked_at_is_not_taken_for_dead(claims, monkeypatch):
    """Else its number would be passed over, and another could take it beside the one that follows."""
    claim = claims.take("a")
    seen = claims._files

    def late(name):
        files = seen(name)
        claim.file.unlink(missing_ok=True)
        return files

    monkeypatch.setattr(claims, "_files", late)
    assert claims.take("a") is None
    monkeypatch.undo()
    assert claims.take("a").file.name == "a.1"


def test_one_look_shows_all_that_somebody_holds(claims):
    of(claims, "a", 1, this_machine(), gone())
    of(claims, "b", 1, "elsewhere", 1)
    of(claims, "c", 1, "elsewhere", 1, age=0.7)
    of(claims, "d", 9, this_machine(), gone())
    of(claims, "d", 10, this_machine(), os.getpid())
    assert claims.living() == ({"b", "d"} if os.name != "nt" else {"a", "b", "d"})
    claims.forget(["b", "d"])
    assert claims.living() == (set() if os.name != "nt" else {"a"})


def test_names_that_begin_alike_are_different(claims):
    with claims.take("point-1"), claims.take("point-10") as other:
        claims.forget(["point-1"])
        assert other.file.exists()
