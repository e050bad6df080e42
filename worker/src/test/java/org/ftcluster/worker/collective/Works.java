package org.ftcluster.worker.collective;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A communicator, and what was begun with it, whoever did. */
public final class Works {
  private final BlockingQueue<Work> begun = new LinkedBlockingQueue<>();
  private final Communicator communicator;

  public Works(Communicator ranks) {
    communicator =
        (Communicator)
            Proxy.newProxyInstance(
                Communicator.class.getClassLoader(),
                new Class<?>[] {Communicator.class},
                (proxy, method, arguments) -> {
                  try {
                    Object result = method.invoke(ranks, arguments);
                    if (result instanceof Work work) {
                      begun.add(work);
                    }
                    return result;
                  } catch (InvocationTargetException e) {
                    throw e.getCause();
                  }
                });
  }

  public Communicator communicator() {
    return communicator;
  }

  /** The next one, once it has begun. */
  public Work next() {
    try {
      Work work = begun.poll(Ranks.LIMIT.toSeconds(), TimeUnit.SECONDS);
      if (work == null) {
        throw new AssertionError("nothing has begun");
      }
      return work;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }

  /** Those that have begun by now, but for those that were asked for already. */
  public List<Work> soFar() {
    List<Work> works = new ArrayList<>();
    begun.drainTo(works);
    return works;
  }
}
