package org.ftcluster.protocol.cluster;

import com.typesafe.config.Config;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.pekko.actor.Address;
import org.apache.pekko.actor.AddressFromURIString;
import org.apache.pekko.event.EventStream;
import org.apache.pekko.remote.FailureDetector;
import org.apache.pekko.remote.FailureDetectorWithAddress;
import org.apache.pekko.remote.PhiAccrualFailureDetector;

/**
 * Pekko's phi-accrual detector, and a probe: where a heartbeat is late and nobody listens on the
 * node's port any more, its process has ended, and isn't waited for. One that is paused, slow or
 * cut off refuses nothing, and has as long as ever. Named in {@code ftcluster.conf}.
 *
 * <p>Any thread may call; calls return at once.
 */
public final class ProbingFailureDetector implements FailureDetector, FailureDetectorWithAddress {
  /** They come every second. */
  private static final long LATE_NS = Duration.ofMillis(1_500).toNanos();

  private final PhiAccrualFailureDetector accrual;
  private final AtomicBoolean probing = new AtomicBoolean();
  private volatile Optional<Address> node = Optional.empty();
  private volatile long heardNs = System.nanoTime();

  /** The heartbeat after which a connection was refused. */
  private volatile Optional<Long> refusedAfterNs = Optional.empty();

  /** Called by Pekko. */
  public ProbingFailureDetector(Config config, EventStream events) {
    accrual = new PhiAccrualFailureDetector(config, events);
  }

  @Override
  public void setAddress(String address) {
    accrual.setAddress(address);
    node = Optional.of(AddressFromURIString.parse(address));
  }

  @Override
  public void heartbeat() {
    heardNs = System.nanoTime();
    accrual.heartbeat();
  }

  @Override
  public boolean isMonitoring() {
    return accrual.isMonitoring();
  }

  @Override
  public boolean isAvailable() {
    if (!accrual.isAvailable()) {
      return false;
    }
    long lastNs = heardNs;
    if (!accrual.isMonitoring() || System.nanoTime() - lastNs < LATE_NS) {
      return true;
    }
    if (refusedAfterNs.filter(after -> after == lastNs).isPresent()) {
      return false;
    }
    node.ifPresent(address -> probe(address, lastNs));
    return true;
  }

  private void probe(Address address, long lastNs) {
    if (probing.compareAndSet(false, true)) {
      var _ =
          Probe.start(address)
              .whenComplete(
                  (probe, failure) -> {
                    if (probe == Probe.REFUSED) {
                      refusedAfterNs = Optional.of(lastNs);
                    }
                    probing.set(false);
                  });
    }
  }
}
