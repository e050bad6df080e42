package org.ftcluster.coordinator.registry;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToIntFunction;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.coordinator.job.Patience;
import org.ftcluster.coordinator.job.Worker;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.ftcluster.protocol.message.WorkerDescription;

/**
 * Brings jobs that wait and workers that are idle together. Before each assignment all workers are
 * asked whether they are there, since membership may show one for a while after it was killed.
 */
final class Staffing {
  private static final Duration LOAD_AGAIN = Duration.ofSeconds(30);

  /** So long a job waits for those that hold its state, before it goes on from a checkpoint. */
  private static final Duration VETERANS = Duration.ofSeconds(10);

  /** A job that waits for longer says what for. */
  private static final Duration WORTH_EXPLAINING = Duration.ofSeconds(10);

  /** So long a job does without a worker that fails it. */
  private static final Duration SHUNNED = Duration.ofMinutes(10);

  /** What comes of it. */
  interface Orders {
    /** Answered by {@link Staffing#answered}, with nothing when too much time has passed. */
    void ask(Worker worker);

    void assign(String job, List<Worker> workers);

    /**
     * A worker of the job is lost.
     *
     * @param why what it did: "doesn't answer"
     */
    void lose(String job, Worker worker, String why);

    /** The worker is to get ready for a job that others work on. */
    void load(String job, Worker worker);

    /** The worker belongs to the generation that the job looks for. */
    void takeOver(String job, Worker worker);

    /** There are more workers that are ready for the job. */
    void grow(String job);

    /** People are to know what a job that waits lacks; nothing where that is empty. */
    void lacks(String job, String what);

    void giveUp(String job, String reason);
  }

  private final Patience patience;
  private final Orders orders;
  private final JobQueue queue;
  private final WorkerPool pool = new WorkerPool();
  private final ToIntFunction<String> number;
  private final Map<String, WorkerDemand> demands = new HashMap<>();

  /** Since when each job waits. */
  private final Map<String, Duration> wishes = new HashMap<>();

  /** What people were told last of jobs that wait. */
  private final Map<String, Shortage> told = new HashMap<>();

  /** Generations that jobs look for. */
  private final Map<String, Long> searches = new HashMap<>();

  /** When each worker was told to load a job. */
  private final Map<Worker, Duration> loads = new HashMap<>();

  private Duration now = Duration.ZERO;
  private boolean askAgain;
  private boolean open;

  /**
   * @param number place of a job among all that were ever submitted
   */
  Staffing(Patience patience, ToIntFunction<String> number, Orders orders) {
    this.patience = patience;
    this.orders = orders;
    this.number = number;
    this.queue = new JobQueue(number);
  }

  /** From now on workers are assigned: all jobs that have a claim to them are known. */
  void open() {
    open = true;
  }

  /** A job without workers waits for some. */
  void wants(WantsWorkers wish) {
    searches.remove(wish.job());
    pool.release(wish.job());
    queue.add(wish);
    wishes.put(wish.job(), now);
    told.remove(wish.job());
    ask();
  }

  /**
   * The workers of a job have gone on while no coordinator was there, in this generation. Those
   * that say so are its own from then on.
   */
  void looksFor(String job, long generation) {
    pool.release(job);
    searches.put(job, generation);
    ask();
  }

  /** A worker fails a job: it gets others for a while, if there are enough. */
  void shuns(String job, String node) {
    pool.find(node).ifPresent(worker -> pool.shun(worker, job, now.plus(SHUNNED)));
  }

  /** How many workers a job that has some can use. */
  void demands(String job, WorkerDemand demand) {
    demands.put(job, demand);
  }

  /** A job neither has workers nor waits for any. */
  void dismiss(String job) {
    queue.remove(job);
    wishes.remove(job);
    told.remove(job);
    searches.remove(job);
    pool.release(job);
    demands.remove(job);
  }

  /** These workers are members now; returns who left a job. */
  List<WorkerPool.Loss> present(List<Worker> workers) {
    List<WorkerPool.Loss> losses = pool.listed(workers);
    loads.keySet().retainAll(workers);
    ask();
    return losses;
  }

  void answered(Worker worker, Optional<WorkerDescription> description) {
    description.ifPresentOrElse(
        found -> {
          pool.answered(worker, found);
          takeOver(worker, found);
        },
        () -> pool.silent(worker).ifPresent(loss -> lose(loss, "doesn't answer")));
    endRound();
  }

  /** A worker's process has ended, though membership shows it for a while. */
  void gone(Worker worker) {
    pool.gone(worker).ifPresent(loss -> lose(loss, "has ended"));
    endRound();
  }

  /** The cluster's failure detector hasn't heard of a worker for too long. */
  void unreachable(String node) {
    pool.find(node)
        .flatMap(pool::unreachable)
        .ifPresent(loss -> lose(loss, "sends no heartbeats any more"));
  }

  private void lose(WorkerPool.Loss loss, String why) {
    orders.lose(loss.job(), loss.worker(), why);
  }

  private void endRound() {
    if (pool.isAsking()) {
      return;
    }
    if (askAgain) {
      ask();
    } else if (open) {
      assign();
    }
  }

  /** As often as it answers, until the job is known to have it: what is told may be lost. */
  private void takeOver(Worker worker, WorkerDescription found) {
    Long generation = searches.get(found.job());
    if (generation != null
        && generation == found.generation()
        && pool.isFree(worker, found.job())) {
      pool.assign(found.job(), List.of(worker));
      orders.takeOver(found.job(), worker);
    }
  }

  /**
   * To be called regularly: looks after workers, and ends waiting that takes too long.
   *
   * @param now any clock that only goes forward
   */
  void tick(Duration now) {
    this.now = now;
    pool.forgive(now);
    if (!pool.isAsking()) {
      queue.inOrder().forEach(this::explainWait);
      ask();
    }
    boolean othersWork = !queue.isEmpty() && pool.othersWork(queue.inOrder().getFirst());
    queue
        .overdue(now, othersWork, patience.workers())
        .ifPresent(
            wish -> {
              queue.remove(wish.job());
              orders.giveUp(wish.job(), shortage(wish).lasting(patience.workers()));
            });
  }

  /** The worker on a node, if there is one. */
  Optional<Worker> find(String node) {
    return pool.find(node);
  }

  List<WorkerDescription> descriptions() {
    return pool.descriptions();
  }

  private void ask() {
    if (pool.isAsking()) {
      askAgain = true; // those who answered already may be gone since
      return;
    }
    askAgain = false;
    pool.beginRound().forEach(orders::ask);
  }

  private void assign() {
    // A job that begins can wait a moment for a worker that is slow; one that recovers doesn't.
    List<WantsWorkers> next =
        pool.isInDoubt()
            ? queue.inOrder().stream().filter(WantsWorkers::recovering).toList()
            : queue.inOrder();
    // Nobody overtakes one that waits: those that hold its state would be given away.
    Planner.assign(next.stream().takeWhile(this::mayGoOn).toList(), pool.candidates())
        .forEach(
            (job, workers) -> {
              queue.remove(job);
              pool.assign(job, workers);
              orders.assign(job, workers);
            });
    grow();
  }

  /** A worker that is paused for a moment is worth waiting for: with it the job loses no step. */
  private boolean mayGoOn(WantsWorkers wish) {
    Duration waited = waited(wish);
    return waited.compareTo(wish.after()) >= 0
        && (!wish.recovering()
            || !pool.missesVeterans(wish.job())
            || waited.compareTo(VETERANS) >= 0);
  }

  /** Idle workers join jobs that run, once they are ready; jobs that wait come first. */
  private void grow() {
    List<Planner.Staffed> staffed = new ArrayList<>();
    pool.staffed()
        .forEach(
            (job, workers) -> {
              WorkerDemand demand = demands.get(job);
              if (demand != null) {
                staffed.add(new Planner.Staffed(job, workers, demand));
              }
            });
    staffed.sort(Comparator.comparingInt(job -> number.applyAsInt(job.job())));
    List<Planner.Candidate> wantedByNobody =
        pool.resting().stream()
            .filter(idle -> queue.inOrder().stream().noneMatch(wish -> isOfUse(idle, wish)))
            .toList();
    Planner.Growth growth = Planner.grow(staffed, wantedByNobody);
    growth.load().forEach(this::load);
    growth.grow().forEach(orders::grow);
  }

  /** One that can't load the job is told again, but not at once. */
  private void load(Worker worker, String job) {
    Duration last = loads.get(worker);
    if (last == null || now.minus(last).compareTo(LOAD_AGAIN) >= 0) {
      loads.put(worker, now);
      orders.load(job, worker);
    }
  }

  private Duration waited(WantsWorkers wish) {
    return now.minus(wishes.getOrDefault(wish.job(), now));
  }

  /** Only when there is something else to tell. */
  private void explainWait(WantsWorkers wish) {
    Shortage shortage = shortage(wish);
    if (!shortage.isReal()) {
      if (told.remove(wish.job()) != null) {
        orders.lacks(wish.job(), "");
      }
    } else if (waited(wish).compareTo(WORTH_EXPLAINING) >= 0
        && !shortage.equals(told.put(wish.job(), shortage))) {
      orders.lacks(wish.job(), shortage.clause());
    }
  }

  private Shortage shortage(WantsWorkers wish) {
    long idle = pool.candidates().stream().filter(candidate -> isOfUse(candidate, wish)).count();
    return new Shortage(wish.demand(), idle);
  }

  private static boolean isOfUse(Planner.Candidate idle, WantsWorkers wish) {
    return wish.demand().accepts(idle.hasGpu());
  }
}
