package org.ftcluster.cli.model;

import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.inference.LoadedModel;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster eval}. */
@Command(
    name = "eval",
    description = "Prints the mean loss of a model over the responses in a data set.",
    footer = {
      "",
      "Example:",
      "  ftcluster eval --model base --adapter out/adapter --data eval.jsonl"
    })
public final class EvalCommand implements Callable<Integer> {
  private static final int MAX_LENGTH = 2048;

  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private ModelOptions options = new ModelOptions();

  @Option(
      names = "--data",
      paramLabel = "FILE.jsonl",
      required = true,
      description = "The samples, one JSON object a line.")
  private Path data = Path.of("");

  @Option(
      names = "--prompt",
      paramLabel = "TEMPLATE",
      description =
          "What the model is given, with {field} places (default: as the job, else {prompt}).")
  private @Nullable String prompt;

  @Option(
      names = "--response",
      paramLabel = "TEMPLATE",
      description = "What it should answer (default: as the job, else {completion}).")
  private @Nullable String response;

  @Option(
      names = "--messages",
      paramLabel = "FIELD",
      description =
          "The field with a line's conversation, instead of prompt and response (default: as the"
              + " job).")
  private @Nullable String messages;

  @Mixin private ChatOptions chat = new ChatOptions();

  @Option(
      names = "--max-length",
      paramLabel = "N",
      description = "Tokens a sample may have (default: as the job, else " + MAX_LENGTH + ").")
  private @Nullable Integer maxLength;

  /**
   * What it prints.
   *
   * @param loss nats a target token
   */
  record EvalLine(double loss, long targetTokens) {}

  @Override
  public Integer call() {
    Console console = common.console();
    Optional<JobSpec> job = options.job();
    SampleSource source = Templates.of(job).with(prompt, response, messages, chat).source(data);
    int length =
        maxLength != null
            ? maxLength
            : job.map(JobSpec::data).map(JobSpec.Data::maxLength).orElse(MAX_LENGTH);
    try (LoadedModel model = options.open()) {
      LoadedModel.Loss loss = model.evaluate(source, length);
      console.json(new EvalLine(loss.loss(), loss.targetTokens()));
      console.text(
          String.format(
              Locale.ROOT, "loss %.6f over %d target tokens", loss.loss(), loss.targetTokens()));
      return ExitCode.DONE.code();
    }
  }
}
