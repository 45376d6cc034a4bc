"""A Django service, as a WSGI and as an ASGI application."""

import os

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from rollout_client import RolloutClient
from rollout_client.integrations import asgi, wsgi

REPOSITORY = "10000000-0000-4000-8000-000000000001"

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="not a secret")
django.setup()
client = RolloutClient(os.environ["DATABASE_URL"])


def decide(_request: HttpRequest) -> JsonResponse:
    eligible = client.is_eligible(REPOSITORY, "f", wait=10)
    return JsonResponse({"eligible": eligible, "pid": os.getpid()})


def record(_request: HttpRequest) -> JsonResponse:
    taken = client.record(REPOSITORY, "f", "github_actions", succeeded=True)
    return JsonResponse({"eligible": client.is_eligible(REPOSITORY, "f"), "taken": taken})


urlpatterns = [path("", decide), path("record", record)]
wsgi_application = wsgi.RolloutMiddleware(get_wsgi_application(), client)
asgi_application = asgi.RolloutMiddleware(get_asgi_application(), client)
