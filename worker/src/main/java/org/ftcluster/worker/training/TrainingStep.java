package org.ftcluster.worker.training;

import java.util.List;
import java.util.function.Function;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.worker.data.GlobalBatch;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.GradientClip;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.LearningRate;
import org.ftcluster.worker.optimizer.NonFiniteGradientException;
import org.ftcluster.worker.optimizer.ParameterUpdate;
import org.ftcluster.worker.parallel.Deal;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.parallel.Replica;
import org.ftcluster.worker.tensor.SplitMix64;
import org.ftcluster.worker.training.Trainer.Job;
import org.ftcluster.worker.training.Trainer.Part;

/**
 * One optimizer step after the other, on one rank of a generation.
 *
 * <p>A step is all or nothing: until the gradients of all ranks are summed nothing of the state is
 * touched, and from then on nothing waits for anyone; or, where ranks hold shards, what was touched
 * elsewhere can be made up for.
 */
final class TrainingStep implements AutoCloseable {
  private final Job job;
  private final Part part;
  private final MeshRanks ranks;
  private final LearningRate schedule;
  private final ParameterUpdate update;
  private final GradientSum sum;
  private final Balance balance;
  private final Wishes wishes;

  /**
   * @param wishes told and heard with each step's gradients
   */
  TrainingStep(Job job, Part part, StateSharing sharing, Wishes wishes) {
    this.job = job;
    this.part = part;
    this.ranks = part.ranks();
    this.schedule = LearningRate.of(job.spec().training(), job.batches().steps());
    this.update = sharing.update();
    this.sum = sharing.newSum(part.replica().trained());
    this.balance = new Balance(job.spec(), ranks, sum, part.events());
    this.wishes = wishes;
  }

  /**
   * Takes one.
   *
   * @param step counted from 0
   */
  StepMetrics run(long step) {
    long startNs = System.nanoTime();
    JobSpec.Training training = job.spec().training();
    Mesh mesh = ranks.mesh();
    GlobalBatch batch = job.batches().batch(step);
    JobSpec.Preference preference = job.spec().preference();
    double lossScale = 1.0 / (preference == null ? batch.targetTokens() : batch.sampleCount());
    // Each part of a replica adds its share of every gradient.
    int parts = mesh.pipeline() * mesh.tensor() * job.spec().parallel().interleave();
    sum.start(batch.microBatches().size() * parts);
    Deal deal = balance.deal(batch);
    long workNs = System.nanoTime();
    List<MicroBatch> share = deal.share(ranks.place().data(), batch.microBatches());
    Runnable beforeWork =
        () -> {
          part.stopCheck().run();
          beginWork(step);
        };
    try {
      Function<MicroBatch, TokenBatch> tokens = MicroBatch::tokens;
      if (preference != null) {
        tokens = pairs(preference, share, deal.most(), beforeWork);
      }
      if (mesh.size() > 1) {
        sum.nothingFrom(ranks.background(), lastTrained());
      }
      part.replica()
          .train(
              share,
              new Replica.Step(
                  deal.most(),
                  lossScale,
                  tokens,
                  micro -> SplitMix64.seed(training.seed(), step, micro.index()),
                  beforeWork),
              new GradientIntake(sum, ranks, job.state().parameters(), job.pulse(), lossScale));
      sum.awaitAdded();
    } catch (RuntimeException | Error e) {
      // Sums may be under way, and nobody is to wait for the rest of them.
      ranks.all().abort("rank %d: %s".formatted(ranks.all().rank(), e.getMessage()));
      throw e;
    } finally {
      job.pulse().forget();
    }
    balance.worked(System.nanoTime() - workNs);
    wishes.tell(sum);
    double loss = reduce(step);
    wishes.hear(sum);
    job.slowness().set(balance.learn());
    double norm = update.gradientNorm();
    double learningRate = schedule.at(step);
    update.apply(
        new AdamW.At(step + 1, learningRate, GradientClip.scale(norm, training.maxGradNorm())));

    // From here to the end nothing waits, and nothing fails.
    part.replica().parametersChanged();
    double seconds = (System.nanoTime() - startNs) / 1e9;
    StepMetrics metrics =
        new StepMetrics(
            step + 1,
            batch.epoch(),
            loss,
            norm,
            learningRate,
            batch.targetTokens(),
            batch.sampleCount(),
            batch.tokens() / seconds,
            mesh.size(),
            part.generation());
    job.state().completed(job.state().progress().plus(metrics, batch.tokens(), seconds));
    job.history().add(metrics);
    return metrics;
  }

  /** The micro-batches' tokens, and what the base makes of them. */
  private Function<MicroBatch, TokenBatch> pairs(
      JobSpec.Preference preference, List<MicroBatch> share, int most, Runnable beforeWork) {
    List<TokenBatch> batches =
        new PairTokens(part.replica(), preference)
            .of(share.stream().map(MicroBatch::tokens).toList(), most, beforeWork);
    job.pulse().forget(); // a forward says nothing of how long forward and backward take
    return micro -> batches.get(share.indexOf(micro));
  }

  /** Behind the last parameter that this rank leaves gradients of. */
  private long lastTrained() {
    return part.replica().trained().stream()
        .mapToLong(slice -> slice.offset() + slice.size())
        .max()
        .orElse(0);
  }

  /** Alone with its work, a rank has to get on with it; parts of a model wait for each other. */
  private void beginWork(long step) {
    JobSpec.Parallel parallel = job.spec().parallel();
    if (parallel.replicaRanks() == 1 && parallel.sharding() != JobSpec.Sharding.ZERO3) {
      job.pulse().begin("a micro-batch of step %d".formatted(step + 1));
    }
  }

  private double reduce(long step) {
    try {
      return sum.reduce(ranks.background(), job.state().parameters().gradients(), part.timeout());
    } catch (NonFiniteGradientException e) {
      throw new BadJobException(
          "Training diverged at step %d: %s; a lower training.learning_rate, a longer warm-up or a lower training.max_grad_norm may help."
              .formatted(step + 1, e.getMessage()),
          e);
    }
  }

  /** Bytes that sums of gradients take. */
  long sumBytes() {
    return sum.bytes();
  }

  /** From then on the host has the state, or nobody has. */
  void bringToHost() {
    try {
      update.bringToHost();
    } catch (RuntimeException e) {
      job.state().invalidate();
      throw e;
    }
  }

  @Override
  public void close() {
    try (sum;
        update) {
      bringToHost();
    }
  }
}
