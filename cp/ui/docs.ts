/// <reference lib="dom" />

/** The part of Swagger UI that is used; its own script defines it. */
declare const SwaggerUIBundle: (options: {
  url: string;
  dom_id: string;
  deepLinking: boolean;
  validatorUrl: null;
  requestInterceptor: (request: { headers: Record<string, string> }) => unknown;
}) => void;

const token = sessionStorage.getItem("signalbox-token");

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (token !== null) request.headers.Authorization ??= `Bearer ${token}`;
    return request;
  },
});
