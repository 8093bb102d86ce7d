"""`trellis data score` and `trellis data caption`: which objects are worth learning from, and what they are called."""

from pathlib import Path
from typing import Annotated

import typer

from trellis_cli import console
from trellis_cli.commands import options as o


def score(
    manifest: Annotated[Path, typer.Argument(help="A manifest.jsonl of objects.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The manifest of scored objects.", show_default=False)],
    scorer: Annotated[str, typer.Option(help="aesthetic (CLIP and published layers), or simple.")] = "aesthetic",
    head: Annotated[
        Path | None, typer.Option(help="The aesthetic predictor's layers, .pth or .safetensors.", show_default=False)
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="CLIP: a folder or an id on the hub.", show_default="CLIP ViT-L/14")
    ] = None,
    threshold: Annotated[str, typer.Option(help="Keep objects from this score on: a number, paper or none.")] = "none",
    device: o.Device = "auto",
    shard: o.Shard = None,
    workers: o.WorkerProcesses = 1,
    item_timeout: o.ItemTimeout = None,
    worker_memory: o.WorkerMemory = None,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Score how good objects look by four views of each, and keep those that reach a threshold.

    Draws the spread of the scores, and the ten best and ten worst. A stopped call goes on; another threshold is free.

    Example:  trellis data score data/manifest.jsonl --scorer simple -o data/scored.jsonl
    """
    with o.running(
        quiet=quiet, verbose=verbose, device=device, workers=workers, item_timeout=item_timeout,
        worker_memory=worker_memory,
    ) as chosen:  # fmt: skip
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages.score_objects import score_objects

        summary = score_objects(
            manifest, out, scorer=scorer, head=head, clip=clip, threshold=threshold, shard=parse_shard(shard),
            device=chosen, overwrite=overwrite, retry_failed=retry_failed,
        )  # fmt: skip
        console.result(summary.text, summary, as_json=json)


def caption(
    manifest: Annotated[Path, typer.Argument(help="A manifest.jsonl of objects.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The manifest with captions.", show_default=False)],
    model: Annotated[
        str, typer.Option(help="A model that the endpoint knows, or --local's folder or id.", show_default=False)
    ],
    endpoint: Annotated[str, typer.Option(help="An OpenAI-compatible endpoint.")] = "https://api.openai.com/v1",
    local: Annotated[bool, typer.Option("--local", help="Run the model here, through transformers.")] = False,
    key_variable: Annotated[str, typer.Option(help="The environment variable with the key.")] = "OPENAI_API_KEY",
    per_minute: Annotated[float, typer.Option(min=0, help="Requests a minute at most; 0 is no limit.")] = 0.0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="How often an answer is asked for again.")] = 6,
    price_in: Annotated[
        float | None, typer.Option(min=0, help="Dollars a million tokens in, for --dry-run.", show_default=False)
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(min=0, help="Dollars a million tokens out, for --dry-run.", show_default=False)
    ] = None,
    device: o.Device = "auto",
    shard: o.Shard = None,
    workers: o.WorkerProcesses = 1,
    item_timeout: o.ItemTimeout = None,
    worker_memory: o.WorkerMemory = None,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Caption objects by a model that sees four views of each: one caption of up to 40 words, ten shorter ones.

    A stopped call goes on and asks nothing twice. The key comes from the environment and goes to the endpoint alone.

    Example:  trellis data caption data/manifest.jsonl --model gpt-4o --dry-run --price-in 2.5 --price-out 10 -o c.jsonl
    """
    with o.running(
        quiet=quiet, verbose=verbose, device=device, workers=workers, item_timeout=item_timeout,
        worker_memory=worker_memory,
    ) as chosen:  # fmt: skip
        from trellis_cli.shards import parse_shard
        from trellis_cli.stages import caption_objects as stage

        part = parse_shard(shard)
        if dry_run:
            plan = stage.caption_cost(manifest, out, model, shard=part, price_in=price_in, price_out=price_out)
            return console.result(plan.text, plan, as_json=json)
        if local:
            from trellis_cli.networks.local_describer import LocalDescriber

            describer = LocalDescriber(model, device=chosen)
        else:
            from trellis_cli.io.chat_endpoint import ChatEndpoint

            describer = ChatEndpoint(
                endpoint,
                model,
                key_variable=key_variable,
                timeout=timeout,
                retries=retries,
                per_minute=per_minute / workers,  # each of them asks on its own
            )
        summary = stage.caption_objects(
            manifest, out, describer, shard=part, overwrite=overwrite, retry_failed=retry_failed
        )
        console.result(summary.text, summary, as_json=json)
