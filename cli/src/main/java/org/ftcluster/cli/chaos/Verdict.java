package org.ftcluster.cli.chaos;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/** Whether a disturbed run ended as the undisturbed one did. */
final class Verdict {
  private Verdict() {}

  /**
   * How a run ended.
   *
   * @param reason why, or empty
   * @param results null unless it succeeded
   */
  record Ending(String state, String reason, @Nullable Results results) {}

  /** Promises that were broken, a sentence each. */
  static List<String> broken(Results reference, Ending ending) {
    Results results = ending.results();
    if (!ending.state().equals("SUCCEEDED") || results == null) {
      return List.of(
          "the job ended %s%s"
              .formatted(ending.state(), ending.reason().isEmpty() ? "" : ": " + ending.reason()));
    }
    List<String> broken = new ArrayList<>();
    if (!results.sha256().equals(reference.sha256())) {
      broken.add(
          "adapter_sha256 is %s, and undisturbed %s"
              .formatted(results.sha256(), reference.sha256()));
    }
    compareLines("samples.jsonl", reference.samples(), results.samples(), broken);
    compareLines("evaluations.jsonl", reference.evaluations(), results.evaluations(), broken);
    compareSteps(reference.steps(), results.steps(), broken);
    return broken;
  }

  private static void compareLines(
      String file, List<String> expected, List<String> actual, List<String> broken) {
    if (expected.equals(actual)) {
      return;
    }
    for (int i = 0; i < Math.min(expected.size(), actual.size()); i++) {
      if (!expected.get(i).equals(actual.get(i))) {
        broken.add(
            "%s differs first in line %d: %s, and undisturbed %s"
                .formatted(file, i + 1, actual.get(i), expected.get(i)));
        return;
      }
    }
    broken.add(
        "%s has %d lines, and undisturbed %d".formatted(file, actual.size(), expected.size()));
  }

  private static void compareSteps(
      List<Results.StepLine> expected, List<Results.StepLine> actual, List<String> broken) {
    List<Long> numbers = actual.stream().map(Results.StepLine::step).toList();
    if (!numbers.equals(LongStream.rangeClosed(1, expected.size()).boxed().toList())) {
      broken.add(
          "metrics.jsonl has steps %s, not 1 to %d, each once".formatted(numbers, expected.size()));
      return;
    }
    for (int i = 0; i < expected.size(); i++) {
      if (!expected.get(i).equals(actual.get(i))) {
        broken.add(
            "metrics.jsonl differs first at step %d: %s, and undisturbed %s"
                .formatted(i + 1, actual.get(i).learned(), expected.get(i).learned()));
        return;
      }
    }
  }
}
