package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.ftcluster.cli.chaos.Results.StepLine;
import org.ftcluster.cli.chaos.Verdict.Ending;
import org.junit.jupiter.api.Test;

/** When a disturbed run ended as the undisturbed one did. */
class VerdictTest {
  private static final List<StepLine> STEPS = List.of(line(1, "loss 0.7"), line(2, "loss 0.6"));
  private static final List<String> SAMPLES = List.of("1: 4, 2", "2: 3, 1");
  private static final List<String> EVALUATIONS = List.of("1: 0.8", "2: 0.7");
  private static final Results REFERENCE = new Results("abc", STEPS, SAMPLES, EVALUATIONS);

  @Test
  void theSameResultsHold() {
    assertEquals(List.of(), broken(new Results("abc", STEPS, SAMPLES, EVALUATIONS)));
  }

  @Test
  void aJobThatFailedSaysWhy() {
    assertEquals(
        List.of("the job ended FAILED: no room"),
        Verdict.broken(REFERENCE, new Ending("FAILED", "no room", null)));
  }

  @Test
  void anotherAdapterIsNamed() {
    assertEquals(
        List.of("adapter_sha256 is def, and undisturbed abc"),
        broken(new Results("def", STEPS, SAMPLES, EVALUATIONS)));
  }

  @Test
  void otherSamplesAreNamedByTheirFirstLine() {
    assertEquals(
        List.of("samples.jsonl differs first in line 2: 2: 1, 3, and undisturbed 2: 3, 1"),
        broken(new Results("abc", STEPS, List.of("1: 4, 2", "2: 1, 3"), EVALUATIONS)));
    assertEquals(
        List.of("samples.jsonl has 1 lines, and undisturbed 2"),
        broken(new Results("abc", STEPS, List.of("1: 4, 2"), EVALUATIONS)));
  }

  @Test
  void soAreOtherEvaluations() {
    assertEquals(
        List.of("evaluations.jsonl has 1 lines, and undisturbed 2"),
        broken(new Results("abc", STEPS, SAMPLES, List.of("1: 0.8"))));
  }

  @Test
  void everyStepIsThereOnceAndInOrder() {
    assertEquals(
        List.of("metrics.jsonl has steps [1, 1, 2], not 1 to 2, each once"),
        broken(
            new Results(
                "abc",
                List.of(STEPS.getFirst(), STEPS.getFirst(), STEPS.getLast()),
                SAMPLES,
                EVALUATIONS)));
    assertEquals(
        List.of("metrics.jsonl has steps [2, 1], not 1 to 2, each once"),
        broken(new Results("abc", STEPS.reversed(), SAMPLES, EVALUATIONS)));
  }

  @Test
  void whatAStepLearnedIsTheSame() {
    assertEquals(
        List.of("metrics.jsonl differs first at step 2: loss 0.5, and undisturbed loss 0.6"),
        broken(
            new Results(
                "abc", List.of(STEPS.getFirst(), line(2, "loss 0.5")), SAMPLES, EVALUATIONS)));
  }

  private static List<String> broken(Results results) {
    return Verdict.broken(REFERENCE, new Ending("SUCCEEDED", "", results));
  }

  private static StepLine line(long step, String learned) {
    return new StepLine(step, learned);
  }
}
