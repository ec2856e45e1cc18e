"""drf-spectacular's view of ours: every operation, answer and problem from the table of operations."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.adapters.rest_framework.openapi_operations import OPERATIONS, Answer, Operation
from django_healthkit_ingest.adapters.rest_framework.openapi_parameters import EVERYWHERE, Header, Parameter
from django_healthkit_ingest.adapters.rest_framework.openapi_schemas import PREFIX, Components, envelope, refer
from django_healthkit_ingest.adapters.rest_framework.openapi_shapes import Problem
from django_healthkit_ingest.adapters.rest_framework.problems import CONTENT_TYPE

TAG = "HealthKit"
DEVICE_TOKEN = "healthkitDeviceToken"  # noqa: S105 - the scheme's name


class DeviceTokenScheme(OpenApiAuthenticationExtension):
    target_class = "django_healthkit_ingest.adapters.rest_framework.device_tokens.DeviceTokenAuthentication"
    name = DEVICE_TOKEN

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "hki_…",
            "description": "The token of one app installation (`POST devices/`): it may import, and no more.",
        }


class IngestSchema(AutoSchema):
    """Views and methods of the host's own are described as drf-spectacular does it."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        self._components = Components(schemas=envelope())
        operation: dict[str, Any] | None = super().get_operation(path, path_regex, path_prefix, method, registry)
        ours = self._ours()
        if not operation or ours is None:
            return operation
        if "requestBody" in operation and ours.body_required:
            operation["requestBody"]["required"] = True
        for status, answer in operation["responses"].items():
            headers = [
                each for each in (*EVERYWHERE, *ours.headers) if not each.statuses or int(status) in each.statuses
            ]
            answer["headers"] = {**{each.name: self._header(each) for each in headers}, **answer.get("headers", {})}
        return operation

    def is_excluded(self) -> bool:
        """OpenAPI cannot have ``imports/{batch_id}/`` and ``imports/{format_name}/`` side by side."""
        return super().is_excluded() or self.path.endswith("imports/{format_name}/")

    def get_operation_id(self) -> str:
        ours = self._ours()
        if ours is None:
            return str(super().get_operation_id())
        # The foreign SDKs' URL has an older form.
        return f"{ours.id}_apple" if self.path.endswith("/apple") else ours.id

    def get_summary(self) -> str | None:
        ours = self._ours()
        return ours.summary if ours else super().get_summary()

    def get_description(self) -> str:  # type: ignore[override]
        ours = self._ours()
        return ours.text if ours else super().get_description()

    def get_tags(self) -> list[str]:
        return [TAG] if self._ours() else super().get_tags()

    def get_auth(self) -> list[dict[str, Any]]:
        ways: list[dict[str, Any]] = super().get_auth()
        if isinstance(self.view, IngestView) and not self.view.open_to_devices:
            return [way for way in ways if DEVICE_TOKEN not in way]
        return ways

    def get_override_parameters(self) -> list[Any]:
        ours = self._ours()
        if ours is None:
            return list(super().get_override_parameters())
        return [*map(_parameter, ours.parameters)]

    def get_request_serializer(self) -> Any:
        ours = self._ours()
        if ours is None:
            return super().get_request_serializer()
        return {media_type: self._show(shape) for media_type, shape in ours.takes.items()}

    def get_response_serializers(self) -> Any:
        ours = self._ours()
        if ours is None:
            return super().get_response_serializers()
        return {**self._answer(ours.answer), **self._problems(ours)}

    def _ours(self) -> Operation | None:
        every = (OPERATIONS.get((cls, self.method)) for cls in type(self.view).__mro__)
        return next(filter(None, every), None)

    def _answer(self, answer: Answer) -> dict[Any, Any]:
        schema = None if answer.gives is None else self._show(answer.gives)
        return {(str(answer.status), answer.media_type): OpenApiResponse(schema, description=answer.text)}

    def _problems(self, operation: Operation) -> dict[Any, Any]:
        schema = self._show(Problem)
        return {
            (str(status), CONTENT_TYPE): OpenApiResponse(schema, description=", ".join(f"`{code}`" for code in codes))
            for status, codes in sorted(operation.problems().items())
        }

    def _headers(self, operation: Operation, status: int) -> dict[str, Any]:
        every = (*EVERYWHERE, *operation.headers)
        return {each.name: self._header(each) for each in every if not each.statuses or status in each.statuses}

    def _header(self, header: Header) -> dict[str, Any]:
        name = f"{PREFIX}{header.name}"
        shown = {"description": header.text, "schema": dict(header.schema)}
        self.registry.register_on_missing(ResolvedComponent(name=name, type="headers", object=name, schema=shown))
        return refer(name, kind="headers")

    def _show(self, shape: Any) -> Any:
        """As JSON Schema, and what it refers to among the document's components."""
        if isinstance(shape, dict):
            schema = {key: self._show(value) for key, value in shape.items()}
        elif isinstance(shape, list):
            return [self._show(each) for each in shape]
        elif isinstance(shape, str | int):
            return shape
        else:
            schema = self._components.show(shape)
        self._register(schema)
        return schema

    def _register(self, schema: Any) -> None:
        if isinstance(schema, list):
            for each in schema:
                self._register(each)
        if not isinstance(schema, dict):
            return
        for key, value in schema.items():
            if key != "$ref":
                self._register(value)
                continue
            name = value.removeprefix("#/components/schemas/").partition("/")[0]
            component = ResolvedComponent(
                name=name, type=ResolvedComponent.SCHEMA, object=name, schema=self._components.schemas[name]
            )
            if component not in self.registry:
                self.registry.register(component)
                self._register(component.schema)


def described(schema: Any) -> Any:
    """Of the same class as before, with ours among its bases: what a host's class says itself stands before ours."""
    if not isinstance(schema, AutoSchema) or isinstance(schema, IngestSchema):
        return schema
    fuller = _with_ours(type(schema))()
    fuller.view = schema._view
    return fuller


def _with_ours(cls: type[AutoSchema]) -> type[IngestSchema]:
    return IngestSchema if cls is AutoSchema else type(cls.__name__, (cls, IngestSchema), {})


def _parameter(parameter: Parameter) -> OpenApiParameter:
    return OpenApiParameter(
        parameter.name,
        dict(parameter.schema),
        parameter.place,  # type: ignore[arg-type]
        required=parameter.required,
        description=parameter.text,
    )
