"""`voxray dial`: have a running server place a phone call."""

from __future__ import annotations

import json

import click


@click.command(help="Have a running server call a number, and connect the agent to it.")
@click.argument("number")
@click.option("--server", default="http://127.0.0.1:3042", show_default=True, help="Address of the server.")
@click.option("--from", "caller", default="", help="Our number. Default: telephony.caller_id of the server.")
@click.option("--carrier", default="", help="Which carrier, where the server has several.")
@click.option("--api-key", envvar="VOXRAY_SERVER_API_KEY", default="", help="The server's key.")
@click.option("--context", default="", metavar="JSON", help="Reaches the session: system_prompt, greeting, messages, …")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(number: str, server: str, caller: str, carrier: str, api_key: str, context: str, as_json: bool) -> None:
    import httpx

    try:
        body = json.loads(context or "{}")
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--context") from error
    if not isinstance(body, dict):
        raise click.BadParameter("a JSON object is expected", param_hint="--context")
    request = {"to": number, "from": caller, "carrier": carrier, "body": body}
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        answer = httpx.post(f"{server.rstrip('/')}/api/v1/calls", json=request, headers=headers, timeout=60)
    except httpx.HTTPError as error:
        raise click.ClickException(
            f"{server} does not answer ({type(error).__name__}); is `voxray serve` running?"
        ) from error
    if answer.status_code == 404:
        raise click.ClickException(f"{server} takes no phone calls; set runner_transport in its configuration")
    try:
        parsed = answer.json()
    except ValueError as error:
        raise click.ClickException(f"{server} answered {answer.status_code} without JSON") from error
    if not answer.is_success:
        problem = parsed.get("error", {})
        details = "; ".join(f"{each['field']}: {each['message']}" for each in problem.get("details", ()))
        raise click.ClickException(
            f"{problem.get('message', answer.status_code)}" + (f" ({details})" if details else "")
        )
    click.echo(json.dumps(parsed["data"]) if as_json else f"calling {number}: {parsed['data']['callId']}")
