package org.ftcluster.worker.parallel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.parallel.Machine.Link;
import org.ftcluster.worker.parallel.StepTime.Layout;
import org.junit.jupiter.api.Test;

class StepTimeTest {
  /** Ten layers of a million weights; 8 micro-batches of 100 tokens that see nobody else. */
  private static final Workload WORK =
      new Workload(10, 1e6, 0, 0, 1000, 1000, 0, 8, 100, 100, 0, false, false, false, 4, 4, 8, 8);

  private static final Machine MACHINE =
      new Machine(1e9, 1e9, new Link(1e9, 0), new Link(1e8, 0), 2);

  @Test
  void aloneItIsArithmetic() {
    // 2 operations a weight and token forward, 2 backward: no gradients of frozen weights.
    assertEquals(8 * 10 * 4 * 100 * 1e6, WORK.flops());
    assertEquals(WORK.flops() / 1e9, seconds(WORK, 1, 1, 1, Sharding.NONE), 1e-9);
    assertEquals(1, efficiency(WORK, 1, 1, 1), 1e-9);
  }

  @Test
  void copiesShareTheMicroBatchesAndSumGradients() {
    double alone = WORK.flops() / 1e9;
    assertEquals(alone / 4, seconds(WORK, 4, 1, 1, Sharding.NONE), 1e-9);
    Workload trained = trained(1e6);
    // 8 bytes a parameter, 3/4 of them twice over the far link, of which the last of ten layers'
    // are waited for; 20 bytes of memory to add each of two micro-batches, 44 for norm and update.
    assertEquals(
        trained.flops() / 4 / 1e9 + 0.1 * 2 * 0.75 * 8e6 / 1e8 + 2 * 0.020 + 0.044,
        seconds(trained, 4, 1, 1, Sharding.NONE),
        1e-9);
    assertEquals(
        0.1 * 2 * 0.75 * 8e6 / 1e8 + 0.75 * 4e6 / 1e8,
        time(trained, 4, 1, 1, Sharding.ZERO1).gradients(),
        1e-9);
  }

  @Test
  void gradientsOfPartsAreSummedWhileTheBackwardGoesOn() {
    // All ranks sum 8 bytes a parameter over the far link, 3/4 of them twice; of the last of ten
    // layers' is waited for.
    double waited = 0.1 * 2 * 0.75 * 8e6 / 1e8;
    assertEquals(waited, time(trained(1e6), 2, 1, 2, Sharding.NONE).gradients(), 1e-9);
    assertEquals(waited, time(trained(1e6), 2, 2, 1, Sharding.NONE).gradients(), 1e-9);
    // Copies that have no core to spare wait for all of it.
    Layout copies = new Layout(new Mesh(2, 1, 1), 1, Sharding.NONE);
    assertEquals(
        8e6 / 1e9, StepTime.of(trained(1e6), copies, MACHINE.sharing(2, 2, 1)).gradients(), 1e-9);
  }

  @Test
  void sharedGradientsAreSummedWhileEachBackwardGoesOn() {
    Workload trained = trained(1e6);
    // Four micro-batches each, of which 8 MB go over the near link, and 36 bytes a parameter
    // through memory; of the last of ten layers' is waited for.
    double work = trained.flops() / 2 / 1e9 + 4 * 0.036;
    double sum = 8e6 / 1e9;
    assertEquals(work + 4 * 0.1 * sum, time(trained, 2, 1, 1, Sharding.ZERO2).microBatches(), 1e-9);
    // Ranks that have no core to spare wait for all of it.
    Machine twoCores = MACHINE.sharing(2, 2, 1);
    assertEquals(
        work + 4 * sum,
        StepTime.of(trained, layout(Sharding.ZERO2), twoCores).microBatches(),
        1e-9);
  }

  @Test
  void slicesExchangeActivationsTenTimesALayerAndTwiceAtTheHead() {
    // Four sums and six times the rows of norms and gradients, of which each of two sends half.
    double sums = 8 * (10 * 10 + 2) * (100 * 1000 * 4 / 1e9) / 2;
    assertEquals(WORK.flops() / 2 / 1e9 + sums, seconds(WORK, 1, 1, 2, Sharding.NONE), 1e-9);
    // Four of them are no longer near each other: 10 times slower, 3/2 of the bytes.
    assertEquals(WORK.flops() / 4 / 1e9 + sums * 15, seconds(WORK, 1, 1, 4, Sharding.NONE), 1e-9);
  }

  @Test
  void stagesWaitForEachOther() {
    double alone = WORK.flops() / 1e9;
    double transfers = 2 * 100 * 1000 * 4 / 1e9;
    assertEquals(
        alone / 2 * 9 / 8 + transfers, seconds(WORK, 1, 2, 1, Sharding.NONE), alone * 0.002);
    Layout interleaved = new Layout(new Mesh(1, 2, 1), 5, Sharding.NONE);
    assertTrue(
        StepTime.of(WORK, interleaved, MACHINE).seconds() < seconds(WORK, 1, 2, 1, Sharding.NONE));
  }

  @Test
  void sharedLayersCountWhereGatheringTakesLongerThanComputing() {
    assertEquals(
        seconds(WORK, 2, 1, 1, Sharding.NONE), seconds(WORK, 2, 1, 1, Sharding.ZERO3), 1e-9);
    Workload few =
        new Workload(10, 1e6, 0, 0, 1000, 1000, 0, 8, 1, 1, 0, false, false, false, 4, 4, 8, 8);
    assertEquals(4 * 10 * 2 * (2e6 / 1e9), seconds(few, 2, 1, 1, Sharding.ZERO3), 1e-9);
  }

  @Test
  void groupsInsideANodeShareOverTheirNearLinks() {
    Workload few =
        new Workload(10, 1e6, 0, 0, 1000, 1000, 1e6, 8, 1, 1, 0, false, false, false, 4, 4, 8, 8);
    StepTime all = StepTime.of(few, new Layout(new Mesh(4, 1, 1), 1, Sharding.ZERO3), MACHINE);
    StepTime pairs = StepTime.of(few, new Layout(new Mesh(4, 1, 1, 2), 1, Sharding.ZERO3), MACHINE);
    // Two micro-batches each: layers of 4 MB are gathered, half over the near link instead of 3/4
    // over the far one, and there it takes no longer than the layers; 8 MB of gradients are summed,
    // less what nine layers' backward does meanwhile, but the first layer's.
    double forward = 2.2e6 / 1e9;
    double backward = 2.4e6 / 1e9;
    double memory = 36e6 / 1e9;
    assertEquals(
        2 * (20 * 3e6 / 1e8 + 8e6 / 1e8 - 9 * backward + memory), all.microBatches(), 1e-9);
    assertEquals(
        2 * (10 * (forward + backward) + 0.1 * 8e6 / 1e9 + memory), pairs.microBatches(), 1e-9);
    // Each rank's half of the sums then goes to its twin and back, and new values inside the pair.
    assertEquals(0.75 * 4e6 / 1e8, all.gradients(), 1e-9);
    assertEquals(0.5 * 4e6 / 1e9 + 2 * 0.5 * 4e6 / 1e8, pairs.gradients(), 1e-9);
  }

  @Test
  void ofAllWeightsEachChunksGradientsGoAloneToWhereTheyAreNeeded() {
    Workload all =
        new Workload(10, 1e6, 0, 0, 0, 0, 1e7, 2, 1000, 1000, 0, false, true, false, 4, 4, 8, 8);
    Mesh stages = new Mesh(2, 2, 1);
    Machine machine = new Machine(1e9, 1e15, new Link(1e9, 0), new Link(1e9, 0), 4);
    // One micro-batch, whose backward goes through one stage after the other. Of a stage's 40 MB
    // those of the first of its five layers are waited for.
    double alone = all.flops() / 2 / 1e9;
    StepTime time = StepTime.of(all, new Layout(stages, 1, Sharding.ZERO3), machine);
    assertEquals(alone + 2 * 0.2 * 40e6 / 1e9, time.microBatches(), 1e-5);
    assertEquals(0, time.gradients(), "sums are where values are, and these stay");
    // Of five chunks of a layer each, each one's 8 MB are.
    StepTime interleaved = StepTime.of(all, new Layout(stages, 5, Sharding.ZERO3), machine);
    assertEquals(alone + 10 * 8e6 / 1e9, interleaved.microBatches(), 1e-5);
  }

  @Test
  void recomputationIsWorkThatStepsDontNeed() {
    Workload recomputed =
        new Workload(10, 1e6, 0, 0, 1000, 1000, 0, 8, 100, 100, 0, true, false, false, 4, 4, 8, 8);
    assertEquals(1.5 * WORK.flops(), recomputed.flops());
    assertEquals(2 / 3.0, efficiency(recomputed, 1, 1, 1), 1e-9);
  }

  @Test
  void ranksThatShareCoresTakeTurns() {
    Machine twoCores = MACHINE.sharing(2, 4, 1);
    double alone = WORK.flops() / 1e9;
    Layout copies = new Layout(new Mesh(4, 1, 1), 1, Sharding.NONE);
    assertEquals(alone / 2, StepTime.of(WORK, copies, twoCores).microBatches(), 1e-9);
    // Two of four stages at work at any time: what waits leaves its core to the others.
    Layout stages = new Layout(new Mesh(1, 4, 1), 1, Sharding.NONE);
    double bytes = 100 * 1000 * 4;
    Machine fast = new Machine(1e9, 1e9, new Link(1e18, 0), new Link(1e18, 0), 4).sharing(2, 4, 1);
    double seconds = StepTime.of(WORK, stages, fast).microBatches();
    assertTrue(seconds >= alone / 2 && seconds < alone / 2 * 1.3, "%f".formatted(seconds));
    // Messages take the cores, too.
    assertTrue(StepTime.of(WORK, stages, twoCores).seconds() > seconds + 8 * bytes / 1e9);
  }

  @Test
  void whatTakesTheCoresThatRanksComputeOnTakesLessOfThemWhileOthersWait() {
    Machine twoCores = MACHINE.sharing(2, 4, 1);
    assertEquals(0.5e9, twoCores.near().bytes(), "while all four send");
    Workload one =
        new Workload(10, 1e6, 0, 0, 1000, 1000, 0, 1, 100, 100, 0, false, false, false, 4, 4, 8, 8);
    double message = 100 * 1000 * 4 / 1e9 / 2;
    double exchanges = (10 * 10 + 2) * message;
    // Of two stages of two slices one is at work at any time, and has both cores.
    assertEquals(
        one.flops() / 2 / 1e9 + exchanges + 2 * message,
        StepTime.of(one, layout(1, 2, 2), twoCores).microBatches(),
        1e-9);
    // Of five chunks each, of which all but the model's last send on.
    Layout interleaved = new Layout(new Mesh(1, 2, 2), 5, Sharding.NONE);
    assertEquals(
        one.flops() / 2 / 1e9 + exchanges + 2 * 9 * message,
        StepTime.of(one, interleaved, twoCores).microBatches(),
        1e-9);
    // Four slices are all at work at once, for as long as that was measured to take.
    assertEquals(
        2 * one.flops() / 4 / 1e9 + 2 * (10 * 10 + 2) * 3 * message / 2,
        StepTime.of(one, layout(1, 1, 4), twoCores).microBatches(),
        1e-9);
  }

  @Test
  void anUpdateTakesAsLongAsARanksShareOfIt() {
    Workload all =
        new Workload(10, 1e6, 0, 0, 0, 0, 1e7, 8, 1, 1, 0, false, true, false, 4, 4, 8, 8);
    // 44 bytes a parameter; of shares of values nothing else.
    assertEquals(0.44, StepTime.of(all, layout(4, 1, 1), MACHINE).update(), 1e-9);
    Layout shared = new Layout(new Mesh(4, 1, 1), 1, Sharding.ZERO3);
    assertEquals(0.11, StepTime.of(all, shared, MACHINE).update(), 1e-9);
    // Of an adapter's shares, 16 more before all have theirs, and 8 to take over each new value.
    assertEquals(
        1e6 / 4 * 60 / 1e9 + 1e6 * 8 / 1e9,
        time(trained(1e6), 4, 1, 1, Sharding.ZERO2).update(),
        1e-9);
  }

  @Test
  void gatheringCountsWhereItTakesTheCoresThatRanksComputeOn() {
    Machine twoCores = MACHINE.sharing(2, 2, 1);
    double plain = StepTime.of(WORK, layout(Sharding.NONE), twoCores).seconds();
    assertEquals(
        plain + 4 * 10 * 2 * (2e6 / 1e9),
        StepTime.of(WORK, layout(Sharding.ZERO3), twoCores).seconds(),
        1e-9);
    // With a core to spare it is hidden.
    Machine threeCores = MACHINE.sharing(3, 2, 1);
    assertEquals(plain, StepTime.of(WORK, layout(Sharding.ZERO3), threeCores).seconds(), 1e-9);
  }

  @Test
  void pastAttentionTheLastLayerSeesOnlyTokensThatCarryALoss() {
    Workload few =
        new Workload(
            10, 1e6, 7e5, 1e5, 1000, 1000, 0, 8, 100, 25, 0, false, false, false, 4, 4, 8, 8);
    assertEquals(8 * 4 * (9 * 100 * 1e6 + 100 * 3e5 + 25 * 7e5 + 25 * 1e5), few.flops(), 1e-3);
  }

  /** Forward and backward cost the same here, and the base's forward as much again as either. */
  @Test
  void whereTheBaseIsAskedItsForwardsComeFirst() {
    Workload asking =
        new Workload(10, 1e6, 0, 0, 1000, 1000, 0, 8, 100, 100, 0, false, false, true, 4, 4, 8, 8);
    assertEquals(1.5 * WORK.flops(), asking.flops());
    assertEquals(
        1.5 * seconds(WORK, 1, 1, 1, Sharding.NONE), seconds(asking, 1, 1, 1, Sharding.NONE), 1e-9);
    // Eight forwards of half of the layers, a second each, and the one that fills the pipeline,
    // with what is sent meanwhile.
    Machine fast = new Machine(1e9, 1e9, new Link(1e15, 0), new Link(1e15, 0), 2);
    Layout stages = layout(1, 2, 1);
    double passes = StepTime.of(WORK, stages, fast).seconds();
    assertEquals(passes + 9, StepTime.of(asking, stages, fast).seconds(), 1e-6);
    // With two chunks a stage it fills in half the time.
    Layout chunks = new Layout(new Mesh(1, 2, 1), 2, Sharding.NONE);
    Workload twelve =
        new Workload(12, 1e6, 0, 0, 1000, 1000, 0, 8, 100, 100, 0, false, false, false, 4, 4, 8, 8);
    Workload twelveAsking =
        new Workload(12, 1e6, 0, 0, 1000, 1000, 0, 8, 100, 100, 0, false, false, true, 4, 4, 8, 8);
    assertEquals(
        StepTime.of(twelve, chunks, fast).seconds() + 17 * 0.6,
        StepTime.of(twelveAsking, chunks, fast).seconds(),
        1e-6);
  }

  private static Layout layout(int data, int pipeline, int tensor) {
    return new Layout(new Mesh(data, pipeline, tensor), 1, Sharding.NONE);
  }

  private static Layout layout(Sharding sharding) {
    return new Layout(new Mesh(2, 1, 1), 1, sharding);
  }

  private static Workload trained(double parameters) {
    return new Workload(
        10, 1e6, 0, 0, 1000, 1000, parameters, 8, 100, 100, 0, false, false, false, 4, 4, 8, 8);
  }

  private static double efficiency(Workload work, int data, int pipeline, int tensor) {
    Layout layout = new Layout(new Mesh(data, pipeline, tensor), 1, Sharding.NONE);
    return StepTime.of(work, layout, MACHINE).efficiency(work, layout, MACHINE);
  }

  private static double seconds(
      Workload work, int data, int pipeline, int tensor, Sharding sharding) {
    return time(work, data, pipeline, tensor, sharding).seconds();
  }

  private static StepTime time(
      Workload work, int data, int pipeline, int tensor, Sharding sharding) {
    return StepTime.of(work, new Layout(new Mesh(data, pipeline, tensor), 1, sharding), MACHINE);
  }
}
