package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.ftcluster.protocol.job.JobSpec.Preference;
import org.ftcluster.protocol.job.JobSpec.PreferenceLoss;
import org.ftcluster.worker.model.PairLoss.Answer;
import org.ftcluster.worker.model.PairLoss.Result;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class PairLossTest {
  private static final double STEP = 1e-5;

  @ParameterizedTest
  @CsvSource({
    "DPO, 0.1, 0, 0",
    "DPO, 0.3, 0.2, 0",
    "IPO, 0.2, 0, 0",
    "SIMPO, 2, 0, 0.5",
    "ORPO, 0.1, 0, 0"
  })
  void derivativesAreThoseOfTheLoss(
      PreferenceLoss kind, double beta, double labelSmoothing, double gamma) {
    PairLoss loss = new PairLoss(new Preference(kind, beta, labelSmoothing, gamma));
    Answer better = new Answer(12.5, 5, 14);
    Answer worse = new Answer(20.25, 9, 19);

    Result result = loss.of(better, worse);

    assertEquals(
        (loss.of(moved(better, STEP), worse).loss() - loss.of(moved(better, -STEP), worse).loss())
            / (2 * STEP),
        result.byBetter(),
        1e-9);
    assertEquals(
        (loss.of(better, moved(worse, STEP)).loss() - loss.of(better, moved(worse, -STEP)).loss())
            / (2 * STEP),
        result.byWorse(),
        1e-9);
  }

  private static Answer moved(Answer answer, double nats) {
    return new Answer(answer.nats() + nats, answer.tokens(), answer.referenceNats());
  }

  @Test
  void aModelThatIsStillItsReferencePrefersNeither() {
    Result dpo =
        new PairLoss(new Preference(PreferenceLoss.DPO, 0.1, 0, 0))
            .of(new Answer(7, 3, 7), new Answer(4, 2, 4));

    assertEquals(Math.log(2), dpo.loss(), 1e-12);
    assertEquals(0, dpo.margin());
    assertEquals(0.05, dpo.byBetter(), 1e-12);
    assertEquals(-0.05, dpo.byWorse(), 1e-12);
  }

  @ParameterizedTest
  @EnumSource(PreferenceLoss.class)
  void staysFiniteWhereAnAnswerIsCertainOrImpossible(PreferenceLoss kind) {
    PairLoss loss = new PairLoss(new Preference(kind, 1, 0, 0));
    for (double better : new double[] {0, 1e6}) {
      for (double worse : new double[] {0, 1e6}) {
        Result result = loss.of(new Answer(better, 4, 10), new Answer(worse, 4, 10));
        assertTrue(Double.isFinite(result.loss()), result.toString());
        assertTrue(Double.isFinite(result.byBetter()), result.toString());
        assertTrue(Double.isFinite(result.byWorse()), result.toString());
      }
    }
  }
}
