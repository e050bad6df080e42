package org.ftcluster.protocol.cluster;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.pekko.actor.AbstractActorWithTimers;
import org.apache.pekko.actor.ActorSystem;
import org.apache.pekko.actor.Address;
import org.apache.pekko.actor.Props;
import org.apache.pekko.cluster.Cluster;
import org.apache.pekko.cluster.ClusterEvent;
import org.apache.pekko.cluster.DowningProvider;
import org.apache.pekko.cluster.Member;
import org.apache.pekko.cluster.MemberStatus;
import org.apache.pekko.remote.artery.ThisActorSystemQuarantinedEvent;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.Option;
import scala.Some;
import scala.concurrent.duration.FiniteDuration;

/** Carries out, on every node, what {@link Downing} decides. Named in {@code ftcluster.conf}. */
public final class CoordinatorsDecide extends DowningProvider {
  private static final Logger LOG = LoggerFactory.getLogger(CoordinatorsDecide.class);
  private static final Duration LOOK = Duration.ofMillis(500);

  /** Called by Pekko. */
  @SuppressWarnings("UnusedVariable") // Pekko hands it over, whether it is needed or not.
  public CoordinatorsDecide(ActorSystem system) {}

  /** What a node that was put out still does is refused by its epoch: nobody waits for its end. */
  @Override
  public FiniteDuration downRemovalMargin() {
    return scala.concurrent.duration.Duration.Zero();
  }

  @Override
  public Option<Props> downingActorProps() {
    return Some.apply(Props.create(Looking.class, Looking::new));
  }

  private record Look() {}

  private static final class Looking extends AbstractActorWithTimers {
    private final Cluster cluster = Cluster.get(getContext().getSystem());
    private final Address self = cluster.selfAddress();
    private final Downing downing =
        new Downing(self, cluster.getSelfRoles().contains(ClusterSystem.COORDINATOR));

    private final Set<Address> said = new HashSet<>();

    @Override
    public void preStart() {
      getTimers().startTimerWithFixedDelay("look", new Look(), LOOK);
      getContext()
          .getSystem()
          .getEventStream()
          .subscribe(getSelf(), ThisActorSystemQuarantinedEvent.class);
    }

    @Override
    public Receive createReceive() {
      return receiveBuilder()
          .match(Look.class, look -> downing.decide(others(), now()).forEach(this::down))
          .match(
              ThisActorSystemQuarantinedEvent.class,
              event -> {
                if (isMember(event.remoteAddress().address())) {
                  LOG.warn("this node was put out by {}", event.remoteAddress().address());
                  cluster.down(self);
                }
              })
          .build();
    }

    private void down(Address node) {
      if (said.add(node)) {
        LOG.warn(
            node.equals(self)
                ? "{}: no coordinator can be reached"
                : "{} is put out of the cluster",
            ClusterSystem.node(node));
      }
      cluster.down(node);
    }

    private boolean isMember(Address node) {
      return others().stream().anyMatch(other -> other.address().equals(node));
    }

    private List<Downing.Node> others() {
      ClusterEvent.CurrentClusterState state = cluster.state();
      Set<Address> unheard = Unheard.in(cluster);
      said.retainAll(unheard);
      List<Downing.Node> nodes = new ArrayList<>();
      for (Member member : state.getMembers()) {
        Address address = member.address();
        if (!address.equals(self) && !member.status().equals(MemberStatus.down())) {
          nodes.add(
              new Downing.Node(
                  address,
                  member.hasRole(ClusterSystem.COORDINATOR),
                  isLeaving(member),
                  !unheard.contains(address)));
        }
      }
      return nodes;
    }

    private static boolean isLeaving(Member member) {
      return member.status().equals(MemberStatus.leaving())
          || member.status().equals(MemberStatus.exiting());
    }

    private static Duration now() {
      return Duration.ofNanos(System.nanoTime());
    }
  }
}
