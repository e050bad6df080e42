package org.ftcluster.worker.collective;

import java.io.IOException;
import java.nio.channels.Selector;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The I/O thread of a {@link TcpCommunicator}: takes operations in the order in which they were
 * submitted, and moves bytes over the links. A collective occupies the thread until it is done; a
 * point-to-point message only queues its bytes on one link, and completes on the way.
 *
 * <p>Ends once: by {@link #close}, by {@link #abort}, or by the loss of any peer: it closed a
 * connection, or, as a process that was stopped or a machine that is cut off, it gave no sign of
 * life for a while, though every engine gives one all the time. Whatever the reason, the peers are
 * told, the sockets closed, and every outstanding operation fails.
 */
final class Engine {
  private static final Logger log = LoggerFactory.getLogger(Engine.class);
  private static final Duration END_GRACE = Duration.ofSeconds(10);

  /** How often peers get a sign of life; nothing waits for longer without giving one. */
  private static final long BEAT_MS = 500;

  /** So long no sign of life, and a peer is lost. Saturated cores delay one by less. */
  static final Duration SILENCE = Duration.ofSeconds(5);

  /** The first one, or byte, takes longer: a peer may still be connecting to others. */
  static final Duration FIRST_SILENCE = Duration.ofSeconds(60);

  private final int rank;
  private final List<Link> links;
  private final boolean encrypts;
  private final Selector selector;
  private final Thread thread;
  private final Queue<Operation> submitted = new ConcurrentLinkedQueue<>();
  private final Set<Operation> unsettled = ConcurrentHashMap.newKeySet();
  private final AtomicReference<@Nullable String> abortReason = new AtomicReference<>();
  private long lastBeatNs = System.nanoTime();
  private @Nullable Engine twin;
  private volatile boolean closing;
  private volatile @Nullable CollectiveException ended;

  /**
   * @param name of the thread
   * @param links to every other rank, in any order; this engine closes them
   */
  Engine(int rank, String name, List<Link> links) throws IOException {
    this.rank = rank;
    this.links = List.copyOf(links);
    this.encrypts = links.stream().anyMatch(Link::isEncryptedBetweenMachines);
    this.selector = Selector.open();
    for (Link link : links) {
      link.register(selector);
    }
    this.thread = Thread.ofPlatform().daemon().name(name).unstarted(this::run);
  }

  /**
   * To be called once.
   *
   * @param other to be aborted, too, when this one ends without being closed
   */
  void start(Engine other) {
    twin = other;
    thread.start();
  }

  int rank() {
    return rank;
  }

  /** The thread that touches the operations' buffers. */
  Thread thread() {
    return thread;
  }

  boolean encryptsBetweenMachines() {
    return encrypts;
  }

  Work submit(Operation operation) {
    unsettled.add(operation);
    submitted.add(operation);
    selector.wakeup();
    CollectiveException reason = ended;
    if (reason != null) {
      operation.fail(reason);
    }
    return operation;
  }

  void settled(Operation operation) {
    unsettled.remove(operation);
  }

  /**
   * Any thread may call it.
   *
   * @throws CollectiveException once it has ended, or is about to
   */
  void check() {
    CollectiveException reason = ended;
    if (reason != null) {
      throw new CollectiveException(String.valueOf(reason.getMessage()), reason);
    }
    checkAborted();
  }

  /** Any thread may call it; only the first reason counts. Ends the other one, too. */
  void abort(String reason) {
    if (abortReason.compareAndSet(null, reason)) {
      selector.wakeup();
      abortTwin(reason);
    }
  }

  private void abortTwin(String reason) {
    if (twin != null) {
      twin.abort(reason);
    }
  }

  /** Returns once the thread has ended and the sockets are closed. */
  void close() {
    if (!unsettled.isEmpty()) {
      abort("rank %d closed its communicator with operations under way".formatted(rank));
    }
    closing = true;
    selector.wakeup();
    try {
      if (!thread.join(END_GRACE)) {
        log.warn("{} has not ended after {}", thread.getName(), END_GRACE);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Peers whose bytes, or whose taking of bytes, an operation waits for. */
  List<Integer> waitingFor() {
    return links.stream().filter(Link::isWaiting).map(Link::peer).sorted().toList();
  }

  Link link(int peer) {
    for (Link link : links) {
      if (link.peer() == peer) {
        return link;
      }
    }
    throw new IllegalArgumentException("no link to rank " + peer);
  }

  /** Moves bytes until {@code transfer} is through. Called by operations, on the I/O thread. */
  void await(Transfer transfer) throws IOException {
    while (!transfer.isDone()) {
      pump();
    }
  }

  private void run() {
    try {
      while (!closing) {
        checkAborted();
        Operation operation = submitted.poll();
        if (operation != null) {
          operation.run();
        } else {
          pump();
        }
      }
      checkAborted();
      end(null, new CollectiveException("the communicator is closed"));
    } catch (CollectiveException e) {
      end(String.valueOf(e.getMessage()), e);
    } catch (IOException | RuntimeException | Error e) {
      log.error("collectives of rank {} failed", rank, e);
      end("rank %d failed: %s".formatted(rank, e), new CollectiveException(e.toString(), e));
    }
  }

  /** One round over the links; sleeps where there is nothing to do. */
  private void pump() throws IOException {
    checkAborted();
    beat();
    boolean progressed = false;
    for (Link link : links) {
      progressed |= link.progress();
    }
    if (progressed) {
      return;
    }
    for (Link link : links) {
      link.updateInterest(selector);
    }
    List<Link> speaking = new ArrayList<>();
    selector.select(
        key -> {
          Link link = (Link) key.attachment();
          if (link.isControl(key)) {
            speaking.add(link);
          }
        },
        BEAT_MS);
    for (Link link : speaking) {
      link.readControl();
    }
  }

  private void beat() throws IOException {
    long nowNs = System.nanoTime();
    long sinceMs = (nowNs - lastBeatNs) / 1_000_000;
    if (sinceMs < BEAT_MS) {
      return;
    }
    lastBeatNs = nowNs;
    for (Link link : links) {
      link.readControl(); // what peers have said counts before how they have gone
      link.beat();
      if (sinceMs > SILENCE.toMillis() / 2) {
        link.forgive(nowNs); // it was we who slept
      }
      link.checkHeard(nowNs);
    }
  }

  private void checkAborted() {
    String reason = abortReason.get();
    if (reason != null) {
      throw new CollectiveException(reason);
    }
  }

  private void end(@Nullable String abortReason, CollectiveException reason) {
    if (abortReason != null) {
      abortTwin(abortReason);
    }
    for (Link link : links) {
      link.close(abortReason);
    }
    try {
      selector.close();
    } catch (IOException e) {
      log.debug("closing the selector: {}", e.getMessage());
    }
    ended = reason;
    // An operation that is submitted from here on sees `ended`, and fails itself.
    for (Operation operation : unsettled) {
      operation.fail(reason);
    }
  }
}
