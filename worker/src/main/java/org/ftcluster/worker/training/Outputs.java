package org.ftcluster.worker.training;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.worker.checkpoint.CheckpointStore.Found;
import org.ftcluster.worker.checkpoint.CheckpointWriter;
import org.ftcluster.worker.checkpoint.CheckpointWriter.Patience;
import org.ftcluster.worker.checkpoint.Fence;
import org.ftcluster.worker.checkpoint.FullModel;
import org.ftcluster.worker.checkpoint.LogFile;
import org.ftcluster.worker.checkpoint.PeftAdapter;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.Progress.Evaluated;
import org.ftcluster.worker.checkpoint.Snapshot;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.ParameterBuffer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What rank 0 writes into {@code checkpoint.path} while a generation lasts: {@code job.yaml},
 * {@code metrics.jsonl}, {@code samples.jsonl}, {@code evaluations.jsonl}, {@code step-N/}, and
 * {@code adapter/} or {@code model/}.
 */
final class Outputs implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Outputs.class);
  private static final String EVALUATIONS = "evaluations.jsonl";

  private final JobSpec spec;
  private final GlobalBatches batches;
  private final CheckpointWriter checkpoints;
  private final Fence fence;
  private final Persistence persistence;
  private final LogFile jobFile;
  private final StepLog metrics;
  private final @Nullable StepLog samples;
  private final @Nullable StepLog evaluations;

  /** Written by the rank's thread and the checkpoints', one waiting for the other. */
  private volatile long savedStep;

  /** A line of {@code samples.jsonl}: which samples a step learned from. */
  private record StepSamples(long step, List<Long> samples) {}

  /** A line of {@code evaluations.jsonl}. */
  private record StepEvaluation(
      long step,
      double evalLoss,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double evalAccuracy) {}

  private Outputs(
      JobSpec spec,
      GlobalBatches batches,
      CheckpointWriter checkpoints,
      Fence fence,
      Persistence persistence,
      LogFile jobFile,
      StepLog metrics,
      @Nullable StepLog samples,
      @Nullable StepLog evaluations,
      long savedStep) {
    this.spec = spec;
    this.batches = batches;
    this.checkpoints = checkpoints;
    this.fence = fence;
    this.persistence = persistence;
    this.jobFile = jobFile;
    this.metrics = metrics;
    this.samples = samples;
    this.evaluations = evaluations;
    this.savedStep = savedStep;
  }

  /**
   * Opens the files of a run that goes on from where the job's state is: cuts what is of later
   * steps, adds what a predecessor did not get to.
   *
   * @param fence looked at before every write
   * @param checkpoint the one that the state was read from; {@code null} where it comes from memory
   * @param persistence for what must be written in the end
   */
  static Outputs open(
      Trainer.Job job,
      CheckpointWriter checkpoints,
      Fence fence,
      @Nullable Path checkpoint,
      Persistence persistence) {
    JobSpec spec = job.spec();
    Progress progress = job.state().progress();
    Path folder = spec.checkpoint().path();
    fence.check();
    LogFile jobFile = writeJob(spec, folder.resolve("job.yaml"));
    LogOpener logs = new LogOpener(folder, progress.step(), checkpoint, checkpoints);
    StepLog metrics = logs.open("metrics.jsonl", job.history());
    try {
      return open(job, checkpoints, fence, checkpoint, persistence, jobFile, metrics);
    } catch (RuntimeException e) {
      metrics.close();
      throw e;
    }
  }

  private static Outputs open(
      Trainer.Job job,
      CheckpointWriter checkpoints,
      Fence fence,
      @Nullable Path checkpoint,
      Persistence persistence,
      LogFile jobFile,
      StepLog metrics) {
    JobSpec spec = job.spec();
    Progress progress = job.state().progress();
    for (StepMetrics line : job.history().between(metrics.lastStep(), progress.step())) {
      metrics.append(line.step(), line);
    }
    StepMetrics last = progress.last();
    if (last != null && metrics.lastStep() < last.step()) {
      metrics.append(last.step(), last);
    }
    // What is missing of this one follows from the data.
    StepLog samples =
        spec.training().logSamples()
            ? StepLog.open(spec.checkpoint().path().resolve("samples.jsonl"), progress.step())
            : null;
    StepLog evaluations = evaluations(spec, progress);
    long savedStep = checkpoint == null ? -1 : progress.step();
    Outputs outputs =
        new Outputs(
            spec,
            job.batches(),
            checkpoints,
            fence,
            persistence,
            jobFile,
            metrics,
            samples,
            evaluations,
            savedStep);
    outputs.logSamples(progress.step());
    return outputs;
  }

  /** With all lines that there are, since whoever has a state knows them. */
  private static @Nullable StepLog evaluations(JobSpec spec, Progress progress) {
    Path file = spec.checkpoint().path().resolve(EVALUATIONS);
    if (spec.evaluation().everySteps() == 0) {
      delete(file); // another job's, or what this one wrote under other settings
      return null;
    }
    StepLog log = StepLog.open(file, 0);
    progress.evaluations().forEach(one -> append(log, one));
    return log;
  }

  private static void append(StepLog log, Evaluated one) {
    log.append(one.step(), new StepEvaluation(one.step(), one.evalLoss(), one.accuracy()));
  }

  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      throw new OutputException(file, e);
    }
  }

  private static LogFile writeJob(JobSpec spec, Path file) {
    try {
      Files.createDirectories(spec.checkpoint().path());
      DurableFiles.write(file, JobSpecWriter.toYaml(spec));
      return new LogFile(file, Files.size(file));
    } catch (IOException e) {
      throw new OutputException(file, e);
    }
  }

  /** Writes the step's lines. */
  void stepCompleted(StepMetrics line) {
    fence.check();
    logSamples(line.step());
    metrics.append(line.step(), line);
  }

  /** Writes its line, where there is a file for it. */
  void evaluated(Evaluated one) {
    fence.check();
    if (evaluations != null) {
      append(evaluations, one);
    }
  }

  private void logSamples(long through) {
    if (samples == null) {
      return;
    }
    for (long step = samples.lastStep() + 1; step <= through; step++) {
      samples.append(step, new StepSamples(step, batches.batch(step - 1).sampleIds()));
    }
  }

  /**
   * Returns when no checkpoint is being written.
   *
   * @throws org.ftcluster.worker.checkpoint.CheckpointException when it takes too long
   */
  void awaitCheckpoint(Patience patience) {
    checkpoints.await(patience);
  }

  /**
   * Begins to save a checkpoint, and returns when the state may change, while the checkpoint is
   * written; where that fails, training goes on, and the checkpoints before it stay.
   *
   * @param state closed once it is written
   * @param notes hears from another thread how it ended
   * @throws org.ftcluster.worker.checkpoint.CheckpointException when the one before takes too long
   */
  void beginCheckpoint(Snapshot state, Consumer<String> notes, Patience patience) {
    List<LogFile> logs;
    try {
      logs = logs();
    } catch (OutputException e) {
      state.close();
      goOnWithout(String.valueOf(e.getMessage()), notes);
      return;
    }
    checkpoints.begin(
        state,
        logs,
        new CheckpointWriter.Listener() {
          @Override
          public void saved(long step, Path folder) {
            savedStep = step;
            notes.accept(written(folder));
          }

          @Override
          public void failed(long step, String reason) {
            goOnWithout(reason, notes);
          }
        },
        patience);
  }

  private static void goOnWithout(String reason, Consumer<String> notes) {
    log.warn("{}", reason);
    notes.accept(reason + " Training goes on.");
  }

  /**
   * Sees to it that the state is saved, and the checkpoint before it as well.
   *
   * @throws org.ftcluster.worker.checkpoint.CheckpointException when it can't be, for long
   */
  void lastCheckpoint(Snapshot state, Consumer<String> notes, Patience patience) {
    checkpoints.await(patience);
    long step = state.progress().step();
    if (step == savedStep) {
      return;
    }
    Path folder = persistence.write(() -> checkpoints.save(state, logs(), patience));
    savedStep = step;
    notes.accept(written(folder));
  }

  private static String written(Path folder) {
    return "Checkpoint %s written.".formatted(folder);
  }

  /** What a generation that is over has left there for a checkpoint, besides the state. */
  static List<LogFile> logsIn(JobSpec spec) {
    List<LogFile> logs = new ArrayList<>();
    for (String name : List.of("job.yaml", "metrics.jsonl", "samples.jsonl", EVALUATIONS)) {
      Path file = spec.checkpoint().path().resolve(name);
      try {
        if (Files.exists(file)) {
          logs.add(new LogFile(file, Files.size(file)));
        }
      } catch (IOException e) {
        throw new OutputException(file, e);
      }
    }
    return logs;
  }

  /** What belongs to a checkpoint besides the state. */
  private List<LogFile> logs() {
    List<LogFile> logs = new ArrayList<>();
    logs.add(jobFile);
    logs.add(metrics.written());
    if (samples != null) {
      logs.add(samples.written());
    }
    if (evaluations != null) {
      logs.add(evaluations.written());
    }
    return logs;
  }

  /** Whether there is a checkpoint of a step; to be called when none is being written. */
  boolean holds(long step) {
    return checkpoints.holds(step);
  }

  /**
   * Opens the checkpoint of a step.
   *
   * @return to be closed; nothing where there is none
   * @throws org.ftcluster.worker.checkpoint.CheckpointException when the place off the node doesn't
   *     answer for long
   */
  Optional<Found> open(long step, List<ParameterBuffer.Slice> parameters, Consumer<String> notes) {
    return persistence.write(() -> checkpoints.open(step, parameters, notes));
  }

  /** Where what was trained goes: {@code adapter/}, or {@code model/} without an adapter. */
  Path resultFolder() {
    return spec.checkpoint()
        .path()
        .resolve(
            switch (spec.adapter().type()) {
              case LORA -> "adapter";
              case NONE -> "model";
            });
  }

  /**
   * Writes what was trained, and sees to it that all results are where they belong.
   *
   * @param values of all parameters, wherever they are
   * @return SHA-256 of its weights' file
   * @throws org.ftcluster.worker.checkpoint.CheckpointException when that fails for long
   */
  String writeResult(
      List<ParameterBuffer.Slice> parameters, FloatSource values, Consumer<String> notes) {
    return persistence.write(() -> tryToWriteResult(parameters, values, notes));
  }

  private String tryToWriteResult(
      List<ParameterBuffer.Slice> parameters, FloatSource values, Consumer<String> notes) {
    fence.check();
    String sha256 =
        switch (spec.adapter().type()) {
          case LORA ->
              PeftAdapter.write(
                  resultFolder(), spec.adapter(), spec.model().path(), parameters, values);
          case NONE -> FullModel.write(resultFolder(), spec.model(), parameters, values);
        };
    List<Path> results = new ArrayList<>();
    logs().forEach(log -> results.add(log.file()));
    try (Stream<Path> files = Files.list(resultFolder())) {
      files.sorted().forEach(results::add);
    } catch (IOException e) {
      throw new OutputException(resultFolder(), e);
    }
    checkpoints
        .copyResults(results)
        .ifPresent(place -> notes.accept("Results copied to %s.".formatted(place)));
    return sha256;
  }

  @Override
  public void close() {
    metrics.close();
    if (samples != null) {
      samples.close();
    }
    if (evaluations != null) {
      evaluations.close();
    }
  }
}
