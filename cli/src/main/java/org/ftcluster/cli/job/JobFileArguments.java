package org.ftcluster.cli.job;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** A job file, and values that replace some of its own. */
public final class JobFileArguments {
  @Parameters(
      paramLabel = "JOB.yaml",
      description = "The job file; its paths start from its folder.")
  private Path file = Path.of("");

  @Option(
      names = "--set",
      paramLabel = "KEY.PATH=VALUE",
      description = "Replace a value of the job file. Can be repeated; the last one counts.")
  private List<String> sets = new ArrayList<>();

  /** The job as the file and the command line say it. */
  public JobSpec read() {
    return JobSpecReader.read(file, sets);
  }

  /**
   * The same, with some values replaced that the command line says nothing about.
   *
   * @param defaults {@code KEY.PATH=VALUE} each
   */
  public JobSpec read(List<String> defaults) {
    List<String> all = new ArrayList<>(defaults);
    all.addAll(sets);
    return JobSpecReader.read(file, all);
  }

  /**
   * The same, with some values replaced whatever the command line says.
   *
   * @param defaults {@code KEY.PATH=VALUE} each
   * @param overrides {@code KEY.PATH=VALUE} each
   */
  public JobSpec read(List<String> defaults, List<String> overrides) {
    List<String> all = new ArrayList<>(defaults);
    all.addAll(sets);
    all.addAll(overrides);
    return JobSpecReader.read(file, all);
  }
}
