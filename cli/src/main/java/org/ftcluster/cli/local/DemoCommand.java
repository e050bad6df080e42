package org.ftcluster.cli.local;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.local.Comparison.Example;
import org.ftcluster.cli.progress.JobOutcome;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster demo}. */
@Command(
    name = "demo",
    description = {
      "Teaches a small model, which knows unoptimised x86-64 code, to turn optimised code into C:",
      "QLoRA on the sample job, on a private cluster of two workers, in a few minutes.",
      "Starts afresh each time."
    },
    footer = {"", "Example:", "  ftcluster demo --out demo-out"})
public final class DemoCommand implements Callable<Integer> {
  private static final String JOB = "deploy/samples/decompile/job.yaml";
  private static final int EXAMPLES = 3;

  @Mixin private CommonOptions common = new CommonOptions();

  @Option(
      names = "--workers",
      paramLabel = "N",
      defaultValue = "2",
      description = "Worker processes (default: 2).")
  private int workers;

  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      defaultValue = "demo-out",
      description = "Where results go; those of an earlier run are replaced (default: demo-out).")
  private Path out = Path.of("demo-out");

  @Option(
      names = "--set",
      paramLabel = "KEY.PATH=VALUE",
      description = "Replace a value of the sample job. Can be repeated; the last one counts.")
  private List<String> sets = new ArrayList<>();

  /** The last line of JSON: that of {@code train}, and the comparison. */
  record DemoLine(
      @JsonUnwrapped JobOutcome.Line outcome,
      long compared,
      long exactMatchesBefore,
      long exactMatchesAfter,
      List<Example> examples) {}

  @Override
  public Integer call() {
    Console console = common.console();
    JobSpec job = LocalRun.forWorkers(workers, this::read, console);
    try (RunFolder folder = RunFolder.claim(job.checkpoint().path())) {
      folder.clear();
      JobOutcome outcome = LocalRun.run(job, workers, folder, console);
      String adapter = outcome.line().adapter();
      if (adapter == null || job.data().eval() == null) {
        outcome.print(console);
        return outcome.exitCode().code();
      }
      console.talk("Comparing the model's answers before and after on held-back samples ...");
      Comparison comparison = Comparison.run(job, Path.of(adapter), folder);
      comparison.examples(EXAMPLES).forEach(example -> console.text(text(example)));
      console.text(outcome.text());
      console.text(
          "Exact matches among %d held-back samples: %d before, %d after."
              .formatted(comparison.samples(), comparison.exactBefore(), comparison.exactAfter()));
      console.json(
          new DemoLine(
              outcome.line(),
              comparison.samples(),
              comparison.exactBefore(),
              comparison.exactAfter(),
              comparison.examples(EXAMPLES)));
      return outcome.exitCode().code();
    }
  }

  private JobSpec read(List<String> defaults) {
    Path file = Path.of(System.getProperty("ftcluster.home", ".")).resolve(JOB);
    if (!Files.exists(file)) {
      throw CommandException.badRequest(
          "the sample job %s is missing; run the demo from a whole checkout".formatted(file));
    }
    List<String> all = new ArrayList<>(defaults);
    all.add("checkpoint.path=" + out.toAbsolutePath().normalize());
    all.addAll(sets);
    return JobSpecReader.read(file, all);
  }

  private static String text(Example example) {
    return """
    %s
    --- before ---
    %s
    --- after%s ---
    %s
    """
        .formatted(
            example.prompt().strip(),
            example.before().strip(),
            example.exact() ? " (as the original, character by character)" : "",
            example.after().strip());
  }
}
