package org.ftcluster.coordinator.registry;

import java.util.List;
import org.ftcluster.coordinator.job.JobCommand;
import org.ftcluster.coordinator.job.Worker;

/** Carries out what {@link Staffing} decides. */
final class StaffingOrders implements Staffing.Orders {
  private final JobTable jobs;
  private final WorkerCalls calls;

  StaffingOrders(JobTable jobs, WorkerCalls calls) {
    this.jobs = jobs;
    this.calls = calls;
  }

  @Override
  public void ask(Worker worker) {
    calls.describe(worker);
  }

  @Override
  public void assign(String job, List<Worker> workers) {
    jobs.actor(job).tell(new JobCommand.Assign(workers));
  }

  @Override
  public void lose(String job, Worker worker, String why) {
    jobs.actor(job).tell(new JobCommand.LoseWorker(worker, why));
  }

  @Override
  public void load(String job, Worker worker) {
    jobs.actor(job).tell(new JobCommand.Load(worker));
  }

  @Override
  public void takeOver(String job, Worker worker) {
    jobs.actor(job).tell(new JobCommand.TakeOver(worker));
  }

  @Override
  public void grow(String job) {
    jobs.actor(job).tell(new JobCommand.Grow());
  }

  @Override
  public void lacks(String job, String what) {
    jobs.actor(job).tell(new JobCommand.Lacks(what));
  }

  @Override
  public void giveUp(String job, String reason) {
    jobs.actor(job).tell(new JobCommand.GiveUp(reason));
  }
}
