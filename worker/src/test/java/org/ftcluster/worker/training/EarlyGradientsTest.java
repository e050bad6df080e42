package org.ftcluster.worker.training;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.collective.Works;
import org.ftcluster.worker.data.Dataset;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.data.Tokenizer;
import org.ftcluster.worker.model.CausalLanguageModel;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.Region;
import org.ftcluster.worker.optimizer.ShardLayout;
import org.ftcluster.worker.optimizer.ShardedGradientSum;
import org.ftcluster.worker.optimizer.Sharers;
import org.ftcluster.worker.parallel.Replica;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model's gradients are on their way to their sum before its backward is at the first layer. */
class EarlyGradientsTest {
  @TempDir Path folder;

  @Test
  void ranksThatShareSumsSendEveryMicroBatchWhileItsBackwardGoesOn() throws Exception {
    MeshJob.writeFiles(folder);
    JobSpec job = job();
    List<MicroBatch> microBatches = microBatches(job).subList(0, 2);
    List<List<String>> events =
        Ranks.run(
            2,
            ranks -> {
              try (CausalLanguageModel model =
                  ModelLoader.load(job.model(), job.adapter(), MemorySavings.NONE, 1)) {
                return train(ranks, job, model, microBatches);
              }
            });

    List<String> ofOne = new ArrayList<>();
    for (boolean last : new boolean[] {false, true}) {
      ofOne.addAll(List.of("sent", "sent", "sent", "first layer", last ? "last done" : "done"));
    }
    assertEquals(List.of(ofOne, ofOne), events);
  }

  /** Goes on with the next layer's backward only when one more bucket has gone its way. */
  private static List<String> train(
      Communicator ranks, JobSpec job, CausalLanguageModel model, List<MicroBatch> microBatches) {
    Works begun = new Works(ranks.background());
    Communicator alone = ranks.group("alone", List.of(ranks.rank()));
    Sharers sharers = new Sharers(ranks, ranks, begun.communicator(), alone);
    MemorySegment gradients = model.parameters().gradients();
    long size = model.parameters().size();
    ShardLayout layout = new ShardLayout(size, ranks.rank(), ranks.size(), true);
    List<String> events = new ArrayList<>();
    Replica replica = new Replica.OneStage(model);
    Region region = Region.of(replica.trained());
    try (GradientSum sum =
        new ShardedGradientSum(job.training().reduction(), layout, region, sharers, LIMIT, null)) {
      model.initialize(1);
      sum.start(2 * microBatches.size());
      replica.train(
          microBatches,
          new Replica.Step(microBatches.size(), 1, MicroBatch::tokens, MicroBatch::index, () -> {}),
          new Replica.Listener() {
            private boolean isLast;

            @Override
            public void complete(long from, boolean last) {
              sum.addEarly(ranks, gradients, from, last);
              isLast = last;
              if (from == 0) {
                events.add("first layer");
                return;
              }
              begun.next().await(LIMIT);
              events.add("sent");
            }

            @Override
            public Work complete(int unit, @Nullable MemorySegment ofUnit) {
              throw new AssertionError("values are here");
            }

            @Override
            public void done(double lossSum) {
              sum.add(gradients, lossSum);
              begun.soFar();
              events.add(isLast ? "last done" : "done");
            }

            @Override
            public void nothing() {
              throw new AssertionError("copies have equally many");
            }
          });
      sum.reduce(ranks, gradients, LIMIT);
    }
    return events;
  }

  /** A layer has more than a megabyte of sums. */
  private JobSpec job() {
    String yaml =
        MeshJob.yaml(
            folder,
            folder,
            "adapter.r=128",
            "training.reduction=exact",
            "training.micro_batch_size=1");
    return JobSpecReader.parse(yaml, "job", folder, List.of());
  }

  private static List<MicroBatch> microBatches(JobSpec job) throws IOException {
    try (Tokenizer tokenizer = Tokenizer.open(job.model().path(), 1024)) {
      Dataset data = Dataset.load(job.data().train(), tokenizer, job.data().maxLength(), 1);
      return new GlobalBatches(data, job).batch(0).microBatches();
    }
  }
}
