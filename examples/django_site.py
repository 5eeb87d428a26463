"""A Django site that calls services: in one file, so that there is not more to see.

$ AMQP_URI=amqp://localhost gunicorn --workers 4 --threads 8 examples.django_site:application
"""

import asyncio
import json
import os

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

from rpcnode.exceptions import BrokerUnavailable, RpcTimeout, UnknownService
from rpcnode.standalone.aio import AsyncClusterRpc
from rpcnode.standalone.rpc import ClusterRpcProxy


class BillingConfig(AppConfig):
    name = "examples.django_site"
    label = "billing"

    def ready(self):
        # Clients of the process. They connect when they are used first, not here: `manage.py`
        # comes by as well, and the server may fork later. The end of the process ends them.
        config = {"AMQP_URI": settings.AMQP_URI}
        self.client = ClusterRpcProxy(config, timeout=5)
        self.async_client = AsyncClusterRpc(config, timeout=5)


class ServiceErrors:
    """Middleware that answers when a service does not."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, _request, exception):
        if isinstance(exception, RpcTimeout):
            return JsonResponse({"error": str(exception)}, status=504)
        if isinstance(exception, (UnknownService, BrokerUnavailable)):
            return JsonResponse({"error": str(exception)}, status=503)
        return None


def bill(request):
    rpc = apps.get_app_config("billing").client.start(wait=False)
    total = rpc.billing.total(json.loads(request.body)["amounts"], tax=1)
    return JsonResponse({"total": total})


async def bill_all(request):
    rpc = await apps.get_app_config("billing").async_client.start(wait=False)
    orders = json.loads(request.body)["orders"]
    totals = await asyncio.gather(*(rpc.billing.total(amounts) for amounts in orders))
    return JsonResponse({"totals": totals})


urlpatterns = [path("bills", bill), path("bills/all", bill_all)]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        AMQP_URI=os.environ["AMQP_URI"],
        INSTALLED_APPS=["examples.django_site.BillingConfig"],
        MIDDLEWARE=["examples.django_site.ServiceErrors"],
        ROOT_URLCONF="examples.django_site",
        SECRET_KEY=os.environ.get("SECRET_KEY", "not used here"),
    )
    application = get_wsgi_application()
    asgi_application = get_asgi_application()
