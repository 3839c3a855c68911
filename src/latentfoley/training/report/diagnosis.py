"""Everything that is looked for in a run of each kind."""

from latentfoley.training.report import alignment, copies, levels, losses, reconstruction
from latentfoley.training.report.judgement import Finding
from latentfoley.training.report.run import Run


def diagnose(run: Run) -> list[Finding]:
    """Return a finding for every failure that a run of this kind can have; what is found first."""
    findings = losses.judge_losses(run)
    if run.kind in ("vae", "diffusion"):
        findings.append(reconstruction.judge_vae(run))
    if run.kind == "diffusion":
        findings.append(alignment.judge_following(run))
    if run.kind in ("diffusion", "clap"):
        findings.append(alignment.judge_texts(run))
    if run.kind == "diffusion":
        findings.append(copies.judge_copies(run))
    if run.kind != "clap":
        findings.append(levels.judge_levels(run))
    order = ("found", "unknown", "clear")
    return sorted(findings, key=lambda finding: order.index(finding.status))
