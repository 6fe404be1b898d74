# Control plane and router in one image; which of them runs is the command:
#   docker run … signalbox cp        docker run … signalbox router
FROM denoland/deno:2.9.6

# What https endpoints and a wss: control plane are verified against.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY deno.json deno.lock ./
COPY shared shared
COPY cp cp
COPY router router
RUN mkdir data && chown deno:deno data

USER deno
RUN deno install --frozen --entrypoint cp/main.ts router/main.ts
VOLUME /app/data
EXPOSE 8080 8081 9080
# `deno task` passes SIGTERM on, so `docker stop` is a graceful stop.
ENTRYPOINT ["deno", "task"]
CMD ["cp"]
