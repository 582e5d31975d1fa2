"""The index of the admin site: pages grouped by the work they belong to, each once, found by name, none lost."""

import re

from django.apps import apps
from django.contrib import admin
from django.test import RequestFactory

from consortium.admin.groups import GROUPS
from consortium.kernel.admin_site import Group, PortalAdminSite
from members.models import Issuer, Membership
from members.staff_admin import StaffAdmin
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of

HOUSE = {"billing", "consortium", "members", "provisioning"}
PAGE = re.compile(r'<th scope="row" id="([\w-]+)">\s*<a href="([^"]+)"')


def test_every_page_of_money_is_in_one_group_and_every_group_names_pages_that_are() -> None:
    named = [name for group in GROUPS for name in group.models]
    assert sorted(named) == sorted(set(named))
    registered = {model.__name__ for model in admin.site._registry if model._meta.app_label == "billing"}
    assert set(named) - registered == set()
    assert registered - set(named) == set(), "give the new page its group in consortium/admin/groups.py"
    assert {group.app for group in GROUPS} <= {config.label for config in apps.get_app_configs()}


def test_the_index_leads_to_every_page_once(cast: Cast) -> None:
    staff = signed_in(cast.staff)
    answer = staff.get("/en/staff/").content.decode()
    captions = re.findall(r'class="section">([^<]+)</a>', answer)
    assert captions == [*(group.name for group in GROUPS), "Consortium", "Members", "Provisioning"]
    shown = PAGE.findall(answer)
    ours = [model._meta for model in admin.site._registry]
    models = {f"{meta.app_label}-{meta.model_name}" for meta in ours if meta.app_label in HOUSE}
    assert sorted(key for key, _url in shown) == sorted(models)
    assert [key for key, _url in shown[:2]] == ["billing-billimport", "billing-costrow"]  # in the order of the work


def test_a_search_finds_pages_by_words_and_says_when_there_are_none(cast: Cast) -> None:
    staff = signed_in(cast.staff)
    found = staff.get("/en/staff/?q=Invoice+QUESTIONS").content.decode()
    assert [key for key, _url in PAGE.findall(found)] == ["billing-invoicequestion"]
    assert "1 page for" in found
    assert "Nothing waits" not in found
    assert len(PAGE.findall(staff.get("/en/staff/?q=getting+paid").content.decode())) == len(GROUPS[2].models)
    none = staff.get("/en/staff/?q=%3Cb%3Eunicorn")
    assert "No page is called “&lt;b&gt;unicorn”" in none.content.decode()
    assert "permission" not in text_of(none)


def test_the_page_of_an_app_bears_its_name_and_claims_nothing_of_the_queue(cast: Cast) -> None:
    answer = text_of(signed_in(cast.staff).get("/en/staff/billing/"))
    assert "Billing administration" in answer
    assert "Nothing waits" not in answer
    assert "Getting paid" in answer
    trail = re.search(r'<ol class="breadcrumbs">(.*?)</ol>', answer, re.DOTALL)
    assert trail is not None
    assert "Getting paid" not in trail[1]


def test_a_page_that_no_group_names_stays_under_its_app(cast: Cast) -> None:
    site = PortalAdminSite(name="admin")
    site.groups = (Group(name="Legal entities", app="members", models=("Issuer", "NotThere")),)
    for model in (Issuer, Membership):
        site.register(model, StaffAdmin)
    request = RequestFactory().get("/")
    request.user = cast.staff
    found = [(each["name"], [page["object_name"] for page in each["models"]]) for each in site.get_app_list(request)]
    assert found == [("Legal entities", ["Issuer"]), ("Members", ["Membership"])]
