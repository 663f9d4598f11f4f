"""Parts from outside by their kind, and which code may run: both sides of what one process allows and the next asks."""

import hashlib
import json
from pathlib import Path

import pytest
from tiny import forget_code

from shoestring.core import registry
from shoestring.core.errors import RecipeError
from shoestring.core.registry import failure, find, give, name_of, offer
from shoestring.core.source_code import Code
from shoestring.core.trust import is_trusted, remember, trust_file, trust_key

TEXT = "from math import sqrt\nclass Tiny:\n    class Inner:\n        pass\ndef make(width=3):\n    return width\n"


def top_level(width: int = 3) -> int:
    return width


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a folder" / "my_net.py"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def test_a_file_is_found_by_its_path_and_known_by_its_content(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find("net", f"{file}:make")
    assert (found.kind, found.source) == ("my_net.py:make", hashlib.sha256(TEXT.encode()).hexdigest())
    assert found.factory() == 3
    monkeypatch.chdir(file.parent)
    assert find("net", "my_net.py:make") == found  # the same object: a content is run once
    assert find("net", "my_net.py:Tiny.Inner").factory.__name__ == "Inner"
    assert find("net", found.kind, found.source) == found


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("my_nte.py:make", r"there is no file /.*/my_nte.py: unknown file 'my_nte.py'; did you mean 'my_net.py'\?"),
        ("nowhere/my_net.py:make", "there is no file /.*/nowhere/my_net.py"),
        ("my_net.py:maek", r"my_net.py:maek: unknown name 'maek'; did you mean 'make'\?"),
        ("my_net.py:", r"my_net.py:: unknown name ''; known: Tiny, make"),
        ("my_net.py:sqrt", "my_net.py:sqrt is imported there, not defined; write math:sqrt"),
        ("bad.py:make", r"bad.py, line 2: invalid syntax"),
        ("broken.py:make", r"broken.py cannot be run: NameError: name 'tensor' is not defined \(broken.py, line 3\)"),
        ("stops.py:make", r"stops.py cannot be run: SystemExit"),
        ("my_net:make", "there is no module my_net; write my_net.py:… for the file here"),
        ("no_such_module:make", "there is no module no_such_module; install it, or name a file: file.py:Name"),
        ("json:dmups", r"json:dmups: unknown name 'dmups'; did you mean 'dumps'\?"),
        ("bsic", r"unknown net 'bsic'; did you mean 'basic'\? One of your own is file.py:Name or module:Name."),
    ],
)
def test_what_cannot_be_found_is_one_line(file: Path, kind: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    Path("bad.py").write_text("x = 1\ndef make(:\n")
    Path("broken.py").write_text("def f():\n    pass\ntensor()\n")
    Path("stops.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(RecipeError, match=message) as error:
        find("net", kind, shipped=["basic"])
    assert "\n" not in str(error.value)


def test_only_trusted_code_runs_when_a_record_names_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = file.with_name("ran")
    file.write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n" + TEXT)
    source = hashlib.sha256(file.read_bytes()).hexdigest()
    offer(Code("my_net.py", file.read_bytes(), file))
    with pytest.raises(RecipeError, match=r"code that you have not allowed to run .* `shoestring trust RUN`"):
        find("net", "my_net.py:make", source)
    assert not ran.exists()
    find("net", f"{file}:make")  # the user's word, for this process
    assert find("net", "my_net.py:make", source).factory() == 3
    forget_code(monkeypatch)
    assert not is_trusted(trust_key("my_net.py:make", source))
    remember([trust_key("my_net.py:make", source)])
    forget_code(monkeypatch)
    offer(Code("my_net.py", file.read_bytes(), file))
    assert find("net", "other name.py:make", source).factory() == 3
    with pytest.raises(RecipeError, match="not allowed"):
        find("net", "my_net.py:Tiny", source)  # another name of the same file was not meant
    with pytest.raises(RecipeError, match="not allowed"):
        find("net", "os:system", source)


def test_what_is_allowed_is_written_once(tmp_path: Path) -> None:
    remember(["b x", "a y"])
    remember(["a y"])
    assert trust_file().read_text() == "a y\nb x\n"


def test_a_changed_file_is_not_the_recorded_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = find("net", f"{file}:make").source
    remember([trust_key("my_net.py:make", source)])
    forget_code(monkeypatch)
    file.write_text(TEXT + "# changed\n")
    with pytest.raises(RecipeError, match=r"my_net.py has changed since it was recorded"):
        find("net", f"{file}:make", source)


def test_classes_of_the_program_are_found_again() -> None:
    found = name_of("net", top_level)
    assert found.kind == "test_registry.py:top_level"
    assert find("net", found.kind, found.source).factory is top_level
    assert name_of("net", Path).kind == f"{Path.__module__}:Path"
    assert find("net", name_of("net", json.JSONDecoder).kind).factory is json.JSONDecoder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: 3, "net: a lambda cannot be found again; write it at the top of a file or a notebook cell"),
        (type("Local", (), {"__qualname__": "f.<locals>.Local"}), "net: Local, which is local to a function, cannot"),
        (object(), r"net=object\(…\) is built already; give its class, or a function"),
        (len, "builtins:len has no Python source to record"),
    ],
)
def test_what_cannot_be_found_again_is_refused(given: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        name_of("net", given)


def test_a_notebook_asks_for_its_class_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_level, "__module__", "__main__")
    found = name_of("net", top_level)
    assert found.kind == "__main__:top_level"
    assert registry.code_of(found.source).content.startswith(b"def top_level")
    forget_code(monkeypatch)
    with pytest.raises(RecipeError, match=r"run that cell again and give it, net=top_level"):
        find("net", found.kind, found.source)
    assert give("net", top_level, found.kind, found.source)
    assert find("net", found.kind, found.source).factory is top_level
    assert not give("net", top_level, found.kind, "another")
    with pytest.raises(RecipeError, match="the run's net is __main__:Other, not __main__:top_level"):
        give("net", top_level, "__main__:Other", found.source)


def test_a_failure_names_the_line_of_the_users_file(file: Path) -> None:
    file.write_text("def make():\n    return 1 / 0\n")
    make = find("net", f"{file}:make").factory
    with pytest.raises(ZeroDivisionError) as error:
        make()
    assert failure(error.value) == "ZeroDivisionError: division by zero (my_net.py, line 2)"
