package org.ftcluster.worker.rank;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.training.RankTask;

/** A task that runs until it is told how to end, and remembers what was asked of it. */
final class FakeTask implements RankTask {
  static final PeerAddress ADDRESS = new PeerAddress("127.0.0.1", 1);

  private static final class HandedOverException extends RuntimeException {}

  final List<String> calls = new CopyOnWriteArrayList<>();
  private final BlockingQueue<Runnable> endings = new ArrayBlockingQueue<>(8);
  volatile long completedStep = -1;
  volatile boolean closed;
  volatile boolean deaf;
  volatile Optional<String> hang = Optional.empty();

  void finish() {
    endings.add(() -> {});
  }

  void fail(Error error) {
    endings.add(
        () -> {
          throw error;
        });
  }

  void fail(RuntimeException error) {
    endings.add(
        () -> {
          throw error;
        });
  }

  @Override
  public Optional<String> hang() {
    return hang;
  }

  @Override
  public long completedStep() {
    return completedStep;
  }

  @Override
  public long steps() {
    return 10;
  }

  @Override
  public PeerAddress prepare(int rank, int worldSize, long generation, byte[] secret) {
    calls.add("prepare " + generation);
    endings.clear();
    return ADDRESS;
  }

  @Override
  public void run(List<PeerAddress> peers, int stateSource, RankEvents events) {
    String generation = calls.getLast().substring("prepare ".length());
    calls.add("run " + generation);
    events.started(0);
    try {
      endings.take().run();
      events.completed(new TrainingResult(10, 10, 2, 1, "/out", "ab", 1, 1, 1));
    } catch (HandedOverException e) {
      events.handedOver(7);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    } finally {
      calls.add("end " + generation);
    }
  }

  @Override
  public void handOver(long generation) {
    endings.add(
        () -> {
          throw new HandedOverException();
        });
  }

  @Override
  public void leave() {
    calls.add("leave");
    handOver(0);
  }

  @Override
  public void keepSafe() {
    calls.add("keep safe");
  }

  @Override
  public void stop(long generation, String reason) {
    if (!deaf) {
      endings.add(
          () -> {
            throw new CollectiveException(reason);
          });
    }
  }

  @Override
  public void close() {
    closed = true;
  }
}
