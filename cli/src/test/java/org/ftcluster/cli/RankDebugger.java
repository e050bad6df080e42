package org.ftcluster.cli;

import com.sun.jdi.Bootstrap;
import com.sun.jdi.InvocationException;
import com.sun.jdi.Method;
import com.sun.jdi.ObjectReference;
import com.sun.jdi.ReferenceType;
import com.sun.jdi.StringReference;
import com.sun.jdi.ThreadReference;
import com.sun.jdi.VirtualMachine;
import com.sun.jdi.connect.AttachingConnector;
import com.sun.jdi.connect.Connector;
import com.sun.jdi.event.BreakpointEvent;
import com.sun.jdi.event.Event;
import com.sun.jdi.event.EventSet;
import com.sun.jdi.request.BreakpointRequest;
import com.sun.jdi.request.EventRequest;
import java.util.List;
import java.util.Map;
import org.ftcluster.worker.model.CausalLanguageModel;

/** Reaches into the rank of a worker in another process, in the middle of a micro-batch. */
final class RankDebugger {
  private static final long PATIENCE_MS = 60_000;
  private static final int MORE_THAN_THE_HEAP = 2_000_000_000;

  private final VirtualMachine machine;

  private RankDebugger(VirtualMachine machine) {
    this.machine = machine;
  }

  /** A flag for the worker's JVM. */
  static String flag(String address) {
    return "-agentlib:jdwp=transport=dt_socket,server=y,suspend=n,quiet=y,address=" + address;
  }

  static RankDebugger attach(String address) throws Exception {
    AttachingConnector sockets =
        Bootstrap.virtualMachineManager().attachingConnectors().stream()
            .filter(connector -> connector.transport().name().equals("dt_socket"))
            .findFirst()
            .orElseThrow();
    Map<String, Connector.Argument> arguments = sockets.defaultArguments();
    arguments.get("hostname").setValue(address.split(":")[0]);
    arguments.get("port").setValue(address.split(":")[1]);
    return new RankDebugger(sockets.attach(arguments));
  }

  /** The rank stands still from now on; other threads don't. */
  void hang() throws InterruptedException {
    stopAtWork();
  }

  /** The rank gets the error that the JVM throws when its heap is used up. */
  void exhaustMemory() throws Exception {
    ThreadReference rank = stopAtWork();
    rank.stop(outOfMemory(rank));
    rank.resume();
  }

  private ThreadReference stopAtWork() throws InterruptedException {
    ReferenceType model = machine.classesByName(CausalLanguageModel.class.getName()).getFirst();
    List<BreakpointRequest> requests =
        model.methodsByName("forwardBackward").stream().map(this::stopIn).toList();
    while (true) {
      EventSet events = machine.eventQueue().remove(PATIENCE_MS);
      if (events == null) {
        throw new AssertionError("the rank computes nothing");
      }
      for (Event event : events) {
        if (event instanceof BreakpointEvent reached) {
          machine.eventRequestManager().deleteEventRequests(requests);
          return reached.thread();
        }
      }
      events.resume();
    }
  }

  private BreakpointRequest stopIn(Method work) {
    BreakpointRequest request =
        machine.eventRequestManager().createBreakpointRequest(work.location());
    request.setSuspendPolicy(EventRequest.SUSPEND_EVENT_THREAD);
    request.enable();
    return request;
  }

  private ObjectReference outOfMemory(ThreadReference rank) throws Exception {
    StringReference text = machine.mirrorOf("x");
    text.disableCollection();
    Method repeat = text.referenceType().methodsByName("repeat").getFirst();
    try {
      text.invokeMethod(
          rank,
          repeat,
          List.of(machine.mirrorOf(MORE_THAN_THE_HEAP)),
          ObjectReference.INVOKE_SINGLE_THREADED);
    } catch (InvocationException e) {
      return e.exception();
    }
    throw new AssertionError("the heap had room for it");
  }
}
