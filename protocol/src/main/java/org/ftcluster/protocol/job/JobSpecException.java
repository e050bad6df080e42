package org.ftcluster.protocol.job;

import java.util.List;
import java.util.stream.Collectors;

/** A job file that can't be run; the message has a sentence, and a line, for each problem. */
public final class JobSpecException extends BadJobException {
  private static final long serialVersionUID = 1L;

  private final transient List<Problem> problems;

  public JobSpecException(List<Problem> problems) {
    super(problems.stream().map(Problem::sentence).collect(Collectors.joining("\n")));
    this.problems = List.copyOf(problems);
  }

  /** All of them, in the order of the file; never empty. */
  public List<Problem> problems() {
    return problems;
  }
}
