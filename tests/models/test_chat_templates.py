"""A chat template is rendered with a deadline and without Python's own attributes."""

from __future__ import annotations

import json

import pytest

from qualification.core.errors import WeightsError
from qualification.core.paths import canaries
from qualification.core.protocol import LoadRequest
from qualification.models import chat_templates
from qualification.models.chat_templates import fault, templates_in
from qualification.models.weights import check_files

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
LARGE = (
    "{% set ns = namespace(t='x') %}"
    "{% for a in range(64) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}"
)


def test_every_canarys_template_may_be_rendered():
    """In each place where a folder can have one."""
    folders = {file.parent for file in canaries().glob("*/**/config.json")}
    templates = {text for folder in folders for text in templates_in(folder).values()}
    assert len(templates) >= 5
    assert {fault(template) for template in templates} == {""}


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{% if tools %}{{ messages.__init__ }}{% endif %}",
        "{{ messages['__class__'] }}",
        "{{ messages|attr('__class__') }}",
        "{{ messages|map(attribute='__class__')|list }}",
        "{% generation %}{{ raise_exception.__globals__ }}{% endgeneration %}",
        "{{ cycler.__init__.__globals__.os.system('touch x') }}",
    ],
)
def test_an_attribute_of_pythons_own_is_refused(template):
    """Also where a rendering does not come by."""
    assert fault(template).startswith("reaches for an attribute of Python's own (__")


def test_a_template_that_does_not_end_is_refused(monkeypatch):
    """After seconds, by its deadline."""
    monkeypatch.setattr(chat_templates, "_DEADLINE_S", 2.0)
    chat_templates.fault.cache_clear()
    assert fault(ENDLESS) == "was not rendered within 2 s"
    chat_templates.fault.cache_clear()


def test_a_template_that_takes_all_memory_is_refused(monkeypatch):
    """Its process has a limit."""
    monkeypatch.setattr(chat_templates, "_DEADLINE_S", 60.0)
    assert fault(LARGE) == "takes more than 1 GB to render"


@pytest.mark.parametrize("template", ["{% broken", "{{ raise_exception('no system') }}", "\udcff"])
def test_what_a_library_reports_itself_is_left_to_it(template):
    """A fault of another kind is no refusal."""
    assert fault(template) == ""


def test_a_folder_with_such_a_template_is_not_loaded(tmp_path):
    """One sentence, before any library reads it; canaries are ours."""
    (tmp_path / "model.safetensors").symlink_to(canaries() / "smolvlm/model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": [{"name": "default", "template": "{{ ''.__class__ }}"}]})
    )
    request = LoadRequest(backend="torch", weights="hub", family="x", path=str(tmp_path))
    with pytest.raises(WeightsError, match="its chat template reaches for an attribute"):
        check_files(request)
