package org.ftcluster.worker.training;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.checkpoint.Checksums;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** At the start of a generation, gives every rank the state of one of them. */
final class StateTransfer {
  private static final Logger log = LoggerFactory.getLogger(StateTransfer.class);
  private static final JsonMapper JSON = new JsonMapper();
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  /** What a rank tells of itself: its step, a checksum of its state, its job. */
  private static final int WORDS = 3;

  static final int JOB = 2;

  private final Communicator ranks;
  private final TrainingState state;
  private final long job;
  private final Duration timeout;

  /**
   * @param job a number that stands for the job's settings and files
   */
  StateTransfer(Communicator ranks, TrainingState state, long job, Duration timeout) {
    this.ranks = ranks;
    this.state = state;
    this.job = job;
    this.timeout = timeout;
  }

  /**
   * Ends with the same state on all ranks. Where all held it already, as survivors of a lost rank
   * do, no tensor is sent.
   *
   * <p>A rank whose state is another gives it up as soon as the first byte comes in. One that has
   * the source's already keeps it whatever happens: what overwrites it is the same.
   *
   * @param source the rank that holds it
   */
  void from(int source) {
    if (ranks.rank() == source && state.completedStep() < 0) {
      throw new CollectiveException(
          "rank %d should hand over its state, but holds none".formatted(source));
    }
    boolean ownIsTheSame;
    boolean allHaveIt = true;
    try (Arena arena = Arena.ofShared()) {
      MemorySegment own = arena.allocate(LONG, WORDS);
      MemorySegment all = arena.allocate(LONG, (long) WORDS * ranks.size());
      own.setAtIndex(LONG, 0, state.completedStep());
      own.setAtIndex(LONG, 1, state.completedStep() < 0 ? 0 : Checksums.crc32c(state.buffers()));
      own.setAtIndex(LONG, JOB, job);
      ranks.allGather(own, all).await(timeout);
      requireSameJob(jobs(all));
      MemorySegment wanted = all.asSlice(source * own.byteSize(), own.byteSize());
      ownIsTheSame = own.mismatch(wanted) < 0;
      for (int rank = 0; rank < ranks.size(); rank++) {
        allHaveIt &= wanted.mismatch(all.asSlice(rank * own.byteSize(), own.byteSize())) < 0;
      }
    }
    if (!ownIsTheSame) {
      state.invalidate();
    }
    Progress progress =
        broadcast(ranks, ranks.rank() == source ? state.progress() : null, source, timeout);
    if (!allHaveIt) {
      log.info("rank {} takes part in the hand-over of step {}", ranks.rank(), progress.step());
      for (MemorySegment buffer : state.buffers()) {
        ranks.broadcast(buffer, source).await(timeout);
      }
    }
    state.completed(progress);
  }

  private List<Long> jobs(MemorySegment all) {
    return IntStream.range(0, ranks.size())
        .mapToObj(rank -> all.getAtIndex(LONG, (long) rank * WORDS + JOB))
        .toList();
  }

  /**
   * Looks whether all work on the same; all ranks see the same numbers, and so come to the same
   * end.
   *
   * @param jobs by rank
   * @throws BadJobException when they don't
   */
  static void requireSameJob(List<Long> jobs) {
    for (int rank = 1; rank < jobs.size(); rank++) {
      if (!jobs.get(rank).equals(jobs.getFirst())) {
        throw new BadJobException(
            "The model, data or initial adapter that rank %d reads differs from rank 0's: the files that a job names must be the same on all machines."
                .formatted(rank));
      }
    }
  }

  /**
   * How far {@code source}'s state has come.
   *
   * @param own on that rank; null on the others
   */
  static Progress broadcast(
      Communicator ranks, @Nullable Progress own, int source, Duration timeout) {
    try (Arena arena = Arena.ofShared()) {
      byte[] json = own == null ? new byte[0] : JSON.writeValueAsBytes(own);
      MemorySegment length = arena.allocate(LONG);
      length.set(LONG, 0, json.length);
      ranks.broadcast(length, source).await(timeout);
      MemorySegment text = arena.allocate(length.get(LONG, 0));
      MemorySegment.copy(json, 0, text, ValueLayout.JAVA_BYTE, 0, json.length);
      ranks.broadcast(text, source).await(timeout);
      return JSON.readValue(
          new String(text.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8), Progress.class);
    } catch (JsonProcessingException e) {
      throw new CollectiveException("rank %d sent no progress".formatted(source), e);
    }
  }
}
