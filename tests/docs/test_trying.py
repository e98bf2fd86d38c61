"""A document that says something wrong is noticed, whatever its language."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadatadb_core import ConfigError
from tests.docs.documents import Place, try_document

RIGHT = """
<!-- file: words.py -->
```python
WORDS = ["a", "b"]
```

```python
from words import WORDS

print(*WORDS)
```

```text
a b
```

```shell
$ python -c 'import words
print(len(words.WORDS), "of them")'
2 of ...
$ test -e words.py && \\
> echo there
there
```

```hcl
metadata s3 {
  bucket = "${NAME}"
}
```

```yaml
- one: {two: 3}
```
"""

WRONG = [
    pytest.param("print(*WORDS)", "print(*WORDS[:1])", AssertionError, id="a Python block prints something else"),
    pytest.param("```text\na b\n```", "", AssertionError, id="a Python block prints what is not shown"),
    pytest.param("from words", "from wrods", ModuleNotFoundError, id="a Python block raises"),
    pytest.param("2 of ...", "3 of ...", AssertionError, id="a command prints something else"),
    pytest.param("2 of ...\n", "", None, id="a command prints what is not shown"),
    pytest.param("> echo there\nthere", "> false", AssertionError, id="a command fails without a word"),
    pytest.param("$ python", "$ exit 3\n$ python", AssertionError, id="a command ends the shell"),
    pytest.param("$ python", "python", ValueError, id="a shell block without a command"),
    pytest.param("bucket =", "bukcet =", ConfigError, id="an attribute that no backend has"),
    pytest.param("{two: 3}", "{two: 3", Exception, id="YAML that is none"),
]


def attempt(text: str, place: Place) -> None:
    """Try a document of that text."""
    document = place.scratch.with_name("document.md")
    document.write_text(text, encoding="utf-8")
    try_document(document, place)


def test_a_document_that_is_right_passes(place: Place) -> None:
    """What the next test damages."""
    attempt(RIGHT, place)

    assert Path("words.py").exists()


@pytest.mark.parametrize(("right", "wrong", "noticed"), WRONG)
def test_a_document_that_is_wrong_fails(right: str, wrong: str, noticed: type[Exception] | None, place: Place) -> None:
    """Each kind of block fails in its way; only what a command prints may be left out, as with ``pip install``."""
    assert right in RIGHT
    text = RIGHT.replace(right, wrong, 1)
    if noticed is None:
        attempt(text, place)
    else:
        with pytest.raises(noticed):
            attempt(text, place)
