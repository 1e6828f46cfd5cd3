//! Finding: seeking one name until it is known, and listing what there is once nothing new comes in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix::dev::{MessageResponse, OneshotSender};
use actix::prelude::*;
use meshzero_proto::diagnosis::{Attempt, Outcome};
use meshzero_proto::directory::{Changes, Filter, Instance, Source, Why};
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::ServiceName;
use meshzero_proto::query::Question;
use tokio::sync::oneshot;

use super::Discovery;
use crate::clock;
use crate::neighbours;
use crate::report::{Report, Unanswered};

/// How long one wish to find a name lasts, unless it is repeated.
const SEEK: Duration = Duration::from_secs(10);
/// A name that is not found for so long may be known to peers of others only: the node begins to look.
const SEEK_FURTHER: Duration = Duration::from_secs(2);
/// How many names are sought at once; the oldest wish makes room.
const MAX_SOUGHT: usize = 1_024;
/// A list is complete when the first rounds of questions are over and nothing new came for a while.
const QUIET: Duration = Duration::from_millis(100);
/// How long a list waits for nodes that do not answer.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// An endpoint that has said nothing for so long does not answer; it takes a millisecond.
const SILENT: Duration = Duration::from_millis(200);
const LIST_CHECK: Duration = Duration::from_millis(20);

/// Who waits for what.
#[derive(Default)]
pub(super) struct Finding {
    sought: HashMap<ServiceName, Sought>,
    lists: Vec<Waiting>,
    checking: bool,
    changed_at: Option<Instant>,
}

struct Sought {
    since: Instant,
    wished: Instant,
    found: bool,
}

struct Waiting {
    filter: Filter,
    since: Instant,
    deadline: Option<Instant>,
    answer: oneshot::Sender<Vec<Instance>>,
}

/// Asks the network for a name in the background, as long as it is unknown and for ten seconds. Watch the name to
/// hear of it; repeat this to seek on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Seek {
    /// The name.
    pub name: ServiceName,
}

/// Asks what was heard, for an error that helps.
#[derive(Debug, Message)]
#[rtype(result = "Report")]
pub struct Ask;

/// Asks how long ago the processes of these instances replied to a question themselves, those that ever did.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(InstanceId, Duration)>")]
pub struct AskReplied(pub Vec<InstanceId>);

/// Asks the network once for the services of these names, whose replies [`Ask`] tells.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AskAgain(pub Vec<ServiceName>);

/// Asks for the instances that `filter` names and that live, ordered by name.
///
/// The answer comes when something is known and nothing new comes in, which takes about 0.2 s the first time and no time
/// later; at the latest after `within`, and then it may be empty. Dropping the request withdraws it.
///
/// Who lists anything but a single name makes the node look: see [`super::Watch`].
#[derive(Debug, Message)]
#[rtype(result = "Vec<Instance>")]
pub struct List {
    /// Which services.
    pub filter: Filter,
    /// How long to wait at most.
    pub within: Duration,
}

/// An answer that comes later, and that nobody works on once the question is dropped.
pub struct Later(oneshot::Receiver<Vec<Instance>>);

impl<A: Actor> MessageResponse<A, List> for Later {
    fn handle(self, _: &mut A::Context, answer: Option<OneshotSender<Vec<Instance>>>) {
        let Some(mut answer) = answer else { return };
        actix_rt::spawn(async move {
            tokio::select! {
                biased;
                // Whoever asked has gone when it cannot be sent; a node that leaves knows of nothing.
                found = self.0 => drop(answer.send(found.unwrap_or_default())),
                () = answer.closed() => {}
            }
        });
    }
}

impl Finding {
    pub(super) fn seeks(&self, name: &ServiceName) -> bool {
        self.sought.get(name).is_some_and(|sought| !sought.found)
    }

    pub(super) fn changed(&mut self, now: Instant) {
        self.changed_at = Some(now);
    }

    /// Lists are to be checked again when something happens, whatever was planned.
    pub(super) fn check_again(&mut self) {
        self.checking = false;
    }

    fn make_room(&mut self) {
        if self.sought.len() >= MAX_SOUGHT
            && let Some(oldest) =
                self.sought.iter().min_by_key(|(_, s)| s.wished).map(|(name, _)| name.clone())
        {
            self.sought.remove(&oldest);
        }
    }
}

impl Discovery {
    /// An instance of `name` has come.
    pub(super) fn found(&mut self, name: &ServiceName) {
        if let Some(sought) = self.finding.sought.get_mut(name) {
            sought.found = true;
            let question = self.question_for(name);
            self.asking.end(question);
        }
    }

    /// An instance of `name` has gone. What was heard of it may have been out of date.
    pub(super) fn lost_again(&mut self, name: &ServiceName, ctx: &mut Context<Self>) {
        let none_left = self.directory.get(name).is_empty();
        if let Some(sought) = self.finding.sought.get_mut(name)
            && sought.found
            && none_left
        {
            sought.found = false;
            let question = self.question_for(name);
            self.ask_network(question, ctx);
        }
    }

    /// Takes in what the bound on the instances of one node hides of `name`.
    fn seek_exactly(&mut self, name: &ServiceName, now: Instant, ctx: &mut Context<Self>) {
        let changes = self.directory.seek(name, now);
        self.apply(changes, None, ctx);
    }

    /// A goodbye may be forged, so whoever cares asks the endpoint; nobody else needs to.
    pub(super) fn hear_goodbye(&mut self, instance: InstanceId) -> Changes {
        let now = clock::now();
        self.dialling.left(instance);
        let changes = self.directory.unheard(instance, Source::Mdns, now);
        if !changes.doubts.is_empty() && !self.cares_about(instance) {
            return self.directory.gone(instance, Why::Withdrawn, now);
        }
        changes
    }

    /// Asks for everything that is watched or sought, after a time in which announcements could not be heard.
    pub(super) fn ask_what_was_missed(&mut self, ctx: &mut Context<Self>) {
        let sought = self.finding.sought.iter().filter(|(_, sought)| !sought.found).map(|(name, _)| name);
        let mut questions: Vec<Question> = sought.map(|name| self.question_for(name)).collect();
        questions.extend(self.watchers.filters().map(|filter| self.question(filter)));
        if self.presence.is_looking() {
            questions.push(Question::All);
        }
        for question in questions {
            self.ask_network(question, ctx);
        }
    }

    /// What has to be done from time to time for those who wait.
    pub(super) fn look_around(&mut self, ctx: &mut Context<Self>) {
        self.answer_lists(ctx);
        let now = clock::now();
        let mut ended = Vec::new();
        self.finding.sought.retain(|name, sought| {
            let wanted = now.duration_since(sought.wished) < SEEK;
            if !wanted {
                ended.push(name.clone());
            }
            wanted
        });
        for name in ended {
            let question = self.question_for(&name);
            self.asking.end(question);
        }
        let unfound = |sought: &Sought| !sought.found && now.duration_since(sought.since) >= SEEK_FURTHER;
        if self.finding.sought.values().any(unfound) {
            self.look(ctx);
        }
        self.ask_for_watchers_only();
    }

    /// Answers the lists that are complete, and sees to it that the others are checked again.
    pub(super) fn answer_lists(&mut self, ctx: &mut Context<Self>) {
        if self.finding.lists.is_empty() {
            return;
        }
        let now = clock::now();
        for list in std::mem::take(&mut self.finding.lists) {
            let expired = list.deadline.is_some_and(|deadline| deadline <= now);
            match self.complete_list(&list, now) {
                Some(found) => self.answer(list, found),
                None if expired => {
                    let found = self.living(&list.filter, now);
                    self.answer(list, found);
                }
                None if list.answer.is_closed() => {}
                None => self.finding.lists.push(list),
            }
        }
        if !self.finding.lists.is_empty() && !self.finding.checking {
            self.finding.checking = true;
            ctx.run_later(LIST_CHECK, |this, ctx| {
                this.finding.checking = false;
                this.answer_lists(ctx);
            });
        }
    }

    fn answer(&self, list: Waiting, found: Vec<Instance>) {
        if list.answer.send(found).is_err() {
            tracing::debug!("nobody waits for the list any longer");
        }
    }

    fn complete_list(&mut self, list: &Waiting, now: Instant) -> Option<Vec<Instance>> {
        let passed =
            |since: Option<Instant>, wait| since.is_none_or(|since| now.duration_since(since) >= wait);
        let asked = self.presence.looking_since().unwrap_or(list.since);
        let quiet = passed(self.finding.changed_at, QUIET) || passed(Some(asked), STRAGGLERS);
        let question = self.question(&list.filter);
        let multicast = &self.multicast;
        let has_others = || neighbours::has_others(&multicast.zones_out());
        if !quiet || !self.asking.is_settled(question, now, has_others) {
            return None;
        }
        let shown = self.directory.select(&list.filter);
        let living = self.living(&list.filter, now);
        let complete = living.len() == shown.len() || passed(Some(list.since), STRAGGLERS);
        (complete && !living.is_empty()).then_some(living)
    }

    fn living(&self, filter: &Filter, now: Instant) -> Vec<Instance> {
        let mut living = self.directory.select(filter);
        living.retain(|instance| self.is_alive(instance, now));
        living
    }
}

impl Handler<Seek> for Discovery {
    type Result = ();

    fn handle(&mut self, Seek { name }: Seek, ctx: &mut Self::Context) {
        let now = clock::now();
        self.seek_exactly(&name, now, ctx);
        if !self.directory.get(&name).is_empty() {
            return;
        }
        self.finding.make_room();
        let sought = self.finding.sought.entry(name.clone()).or_insert(Sought {
            since: now,
            wished: now,
            found: false,
        });
        (sought.wished, sought.found) = (now, false);
        // What was found dead a while ago may be back.
        for candidate in self.directory.candidates(&name) {
            self.ask(candidate.id, ctx);
        }
        let question = self.question_for(&name);
        self.ask_network(question, ctx);
    }
}

impl Handler<List> for Discovery {
    type Result = Later;

    fn handle(&mut self, List { filter, within }: List, ctx: &mut Self::Context) -> Later {
        let (answer, answered) = oneshot::channel();
        let since = clock::now();
        match &filter {
            Filter::Name(name) => {
                self.seek_exactly(name, since, ctx);
                let question = self.question(&filter);
                self.ask_network(question, ctx);
                for instance in self.directory.select(&filter) {
                    self.ask(instance.id, ctx);
                }
            }
            Filter::Prefix(_) | Filter::Group { .. } => self.look(ctx),
        }
        let deadline = since.checked_add(within);
        self.finding.lists.push(Waiting { filter, since, deadline, answer });
        self.answer_lists(ctx);
        Later(answered)
    }
}

/// Returns whether an attempt is too young to say anything.
fn is_recent(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, Outcome::Silent | Outcome::Accepted) && attempt.took < SILENT
}

impl Handler<Ask> for Discovery {
    type Result = Report;

    fn handle(&mut self, Ask: Ask, _: &mut Self::Context) -> Report {
        let now = clock::now();
        let static_peers = self.static_peers.unconnected();
        let unanswered =
            self.dialling.unanswered().into_iter().filter_map(|(instance, service, attempts)| {
                // One whose node was reached is there, and one that has been asked this moment may be.
                let linked = self
                    .directory
                    .candidate(instance)
                    .is_some_and(|known| self.links.have_dialled(known.node));
                let answers = linked || attempts.iter().all(is_recent);
                let replied_ago = self.directory.replied_ago(instance, now);
                (!answers).then_some(Unanswered { instance, service, replied_ago, attempts })
            });
        Report {
            unanswered: unanswered.collect(),
            connected: self.links.hosts(),
            multicast: self.multicast.observations(now),
            heard: self.directory.service_names().iter().map(ToString::to_string).collect(),
            heard_here: self
                .directory
                .names_here(&self.host_addresses)
                .iter()
                .map(ToString::to_string)
                .collect(),
            hidden: self.directory.hidden(),
            instances_per_node: self.config.limits.instances_per_node,
            other_meshes: self.directory.other_meshes().iter().map(ToString::to_string).collect(),
            interfaces: self.config.interfaces.describe(),
            peers: static_peers.iter().map(|peer| format!("{}: {}", peer.peer, peer.trouble)).collect(),
            static_peers,
        }
    }
}

impl Handler<AskAgain> for Discovery {
    type Result = ();

    fn handle(&mut self, AskAgain(names): AskAgain, ctx: &mut Self::Context) {
        for name in names {
            let question = self.question_for(&name);
            let is_asked = self.asking.is_asking(question);
            self.ask_network(question, ctx);
            if !is_asked {
                self.asking.end(question);
            }
        }
    }
}

impl Handler<AskReplied> for Discovery {
    type Result = MessageResult<AskReplied>;

    fn handle(&mut self, AskReplied(instances): AskReplied, _: &mut Self::Context) -> Self::Result {
        let now = clock::now();
        let replied = |instance| Some((instance, self.directory.replied_ago(instance, now)?));
        MessageResult(instances.into_iter().filter_map(replied).collect())
    }
}
