package org.ftcluster.cli.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.worker.checkpoint.CheckpointException;
import org.ftcluster.worker.checkpoint.MergedModel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster merge}. */
@Command(
    name = "merge",
    description =
        "Writes a model and its adapter as one, a Hugging Face folder that loads without PEFT, in"
            + " the type that the model's weights have. The adapter stays as it is.",
    footer = {"", "Example:", "  ftcluster merge --model base --adapter out/adapter --out merged"})
public final class MergeCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();

  @Option(
      names = "--model",
      paramLabel = "FOLDER",
      required = true,
      description = "The Hugging Face model folder, with the weights as they were published.")
  private Path model = Path.of("");

  @Option(
      names = "--adapter",
      paramLabel = "FOLDER",
      required = true,
      description = "A PEFT adapter for it.")
  private Path adapter = Path.of("");

  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      required = true,
      description = "A new folder, or an empty one.")
  private Path out = Path.of("");

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads that compute (default: one a processor).")
  private int threads = Runtime.getRuntime().availableProcessors();

  /**
   * What it prints.
   *
   * @param merged weights that are other than the base model's
   */
  record MergeLine(String model, int merged) {}

  @Override
  public Integer call() {
    if (threads < 1) {
      throw CommandException.badRequest("--threads is %d; give at least 1".formatted(threads));
    }
    Path target = out.toAbsolutePath().normalize();
    checkFree(target);
    Console console = common.console();
    int merged;
    try {
      merged = MergedModel.write(target, model, adapter, threads);
    } catch (CheckpointException e) {
      throw CommandException.failed(String.valueOf(e.getMessage())).because(e);
    }
    console.json(new MergeLine(target.toString(), merged));
    console.text("Model: %s (%d weights merged)".formatted(target, merged));
    return ExitCode.DONE.code();
  }

  private static void checkFree(Path target) {
    if (!Files.exists(target)) {
      return;
    }
    try (Stream<Path> files = Files.list(target)) {
      if (files.findAny().isEmpty()) {
        return;
      }
    } catch (IOException e) {
      throw CommandException.badRequest("--out: %s is no folder".formatted(target)).because(e);
    }
    throw CommandException.badRequest("--out: %s isn't empty; give a new folder".formatted(target));
  }
}
