package org.ftcluster.coordinator.job;

import java.security.SecureRandom;
import java.util.List;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.Epoch;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.WorkerCommand;

/** Tells the workers of a generation what to do. */
final class Ranks {
  private static final SecureRandom RANDOM = new SecureRandom();
  private static final int SECRET_BYTES = 32;

  private final String job;
  private final Epoch epoch;
  private final ActorRef<RankReport> reports;

  /**
   * @param reports where ranks report to
   */
  Ranks(String job, Epoch epoch, ActorRef<RankReport> reports) {
    this.job = job;
    this.epoch = epoch;
    this.reports = reports;
  }

  /** All ranks of the generation get the same new secret. */
  void prepare(Generation generation, String yaml) {
    byte[] secret = new byte[SECRET_BYTES];
    RANDOM.nextBytes(secret);
    List<Worker> workers = generation.workers();
    int worldSize = workers.size();
    for (int rank = 0; rank < worldSize; rank++) {
      workers
          .get(rank)
          .ref()
          .tell(
              new WorkerCommand.PrepareRank(
                  job, generation.number(), rank, worldSize, yaml, secret, reports));
    }
  }

  /** To be called when all ranks are prepared. */
  void start(Generation generation) {
    tellAll(
        generation,
        new WorkerCommand.StartRank(
            job, generation.number(), generation.peers(), generation.stateSource()));
  }

  /** To be asked again, until all have answered. */
  void handOver(Generation generation) {
    tellAll(generation, new WorkerCommand.HandOver(job, generation.number()));
  }

  void takeOver(Worker worker, Generation generation) {
    worker.ref().tell(new WorkerCommand.ReportTo(epoch, job, generation.number(), reports));
  }

  void confirm(Worker worker, RankReport.Noted note) {
    worker.ref().tell(new WorkerCommand.NoteHeard(job, note.generation(), note.note()));
  }

  void load(Worker worker, String yaml) {
    worker.ref().tell(new WorkerCommand.LoadJob(job, yaml));
  }

  void stop(Generation generation, String reason) {
    tellAll(generation, new WorkerCommand.StopRank(job, generation.number(), reason));
  }

  void release(Generation generation) {
    tellAll(generation, new WorkerCommand.ReleaseJob(job));
  }

  private static void tellAll(Generation generation, WorkerCommand command) {
    generation.workers().forEach(worker -> worker.ref().tell(command));
  }
}
