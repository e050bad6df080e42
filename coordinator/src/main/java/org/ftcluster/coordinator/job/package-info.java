/** The life of a job: its states, the events that change them, and the actor that runs it. */
@NullMarked
package org.ftcluster.coordinator.job;

import org.jspecify.annotations.NullMarked;
