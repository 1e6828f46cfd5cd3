//! Finding services: one by name, all of them, or those of a group.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use meshzero_actors::client::caller::deadline_in;
use meshzero_actors::client::route::Route;
use meshzero_actors::client::route::target::Target;
use meshzero_actors::discovery::ListInstances;
use meshzero_actors::net::naming::{self, NameOrAddress};
use meshzero_actors::node::Node;
use meshzero_actors::node::router::GetRoute;
use meshzero_actors::runtime::executor::MeshClosed;
use meshzero_proto::codec::WireType;
use meshzero_proto::discovery::directory::{Filter, Instance};
use meshzero_proto::name::{InvalidName, ServiceName};

use crate::error::{DiscoverError, NotFound};
use crate::service_ref::ServiceRef;
use crate::subscribe::Subscribe;

/// The default timeout of a search for a service.
const PATIENCE: Duration = Duration::from_secs(5);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Finds a service and connects to it, when awaited.
///
/// The returned handle has completed a handshake with the service: the program there is alive and belongs to this mesh.
///
/// # Errors
/// [`DiscoverError`]: a name that is not valid, or no service found in time. The latter lists the names that were received
/// instead and the interfaces, or gives the reason why nothing answered at the address.
///
/// # Cancel safety
/// This future is cancel safe: dropping it ends the search.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn run(mesh: meshzero::Mesh) {
/// match mesh.discover("robot/arm").within(Duration::from_secs(10)).await {
///     Ok(arm) => println!("{} is at {:?}", arm.name(), arm.address()),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[must_use = "a service is looked for when this is awaited"]
pub struct Discover {
    node: Arc<Node>,
    name: String,
    within: Duration,
}

impl Discover {
    pub(crate) fn new(node: Arc<Node>, name: &str) -> Self {
        Self { node, name: name.to_owned(), within: PATIENCE }
    }

    /// Sets the timeout. Default: 5 s. Zero finds only a service that is connected already.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    async fn run(self) -> Result<ServiceRef, DiscoverError> {
        let target = read(&self.name)?;
        if self.node.shutdown().is_triggered() {
            return Err(MeshClosed.into());
        }
        let route = self.node.ask_router(GetRoute(target)).await?;
        let alarm = self.node.timers().sleep_until(deadline_in(self.within));
        tokio::select! {
            // A timeout of zero still finds what is connected.
            biased;
            _ = route.ready() => Ok(ServiceRef::new(self.node, route)),
            () = alarm => Err(self.not_found(&route).await),
            () = self.node.shutdown().triggered() => Err(MeshClosed.into()),
        }
    }

    async fn not_found(self, route: &Route) -> DiscoverError {
        let trouble = route.last_error();
        let diagnosis = route.diagnose(self.node.context()).await;
        if self.node.shutdown().is_triggered() {
            return DiscoverError::Gone(MeshClosed);
        }
        match *route.target() {
            Target::Address(address) => {
                let problem = trouble.unwrap_or_else(|| "no answer".to_owned());
                let diagnosis = Box::new(diagnosis);
                DiscoverError::Unreachable { address, waited: self.within, problem, diagnosis }
            }
            Target::Name(_) => {
                DiscoverError::NotFound(Box::new(NotFound::new(self.name, self.within, diagnosis)))
            }
        }
    }
}

/// Parses the target of a search. `localhost` is this host, even if a service has that as its name.
fn read(text: &str) -> Result<Target, DiscoverError> {
    let address = match naming::read(text)? {
        NameOrAddress::Address(address) => Some(address),
        NameOrAddress::Host(host) => host.address(),
        NameOrAddress::Name => None,
    };
    Ok(match address {
        Some(address) => Target::Address(address),
        None => Target::Name(ServiceName::new(text)?),
    })
}

impl IntoFuture for Discover {
    type Output = Result<ServiceRef, DiscoverError>;
    type IntoFuture = Pending<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Lists all services of the mesh, when awaited: as soon as some are known and no more answers arrive, or at the latest after the
/// timeout. The first listing of a program takes about 0.2 s, later ones none.
///
/// The list is ordered by name, has one entry for each instance, and includes the services of this program. It has at most
/// [`Limits::instances_per_node`](crate::Limits::instances_per_node) instances of each other program;
/// [`Mesh::reachability`](crate::Mesh::reachability) reports the number of the rest. On a mesh that has been left the list is empty.
///
/// # Cancel safety
/// This future is cancel safe: dropping it ends the search.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn run(mesh: meshzero::Mesh) {
/// for instance in mesh.discover_all().within(Duration::from_secs(1)).await {
///     println!("{} at {:?}", instance.service, instance.address());
/// }
/// # }
/// ```
#[must_use = "services are looked for when this is awaited"]
pub struct DiscoverAll {
    node: Arc<Node>,
    filter: Filter,
    within: Duration,
}

impl DiscoverAll {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, filter: Filter::everything(), within: PATIENCE }
    }

    /// Lists only the instances of one name. Always asks the network, even if this program offers the name itself.
    ///
    /// ```no_run
    /// # async fn run(mesh: meshzero::Mesh, arm: meshzero::ServiceName) {
    /// let arms = mesh.discover_all().named(arm).await;
    /// let others = arms.iter().filter(|instance| instance.node != mesh.node()).count();
    /// # }
    /// ```
    pub fn named(mut self, name: ServiceName) -> Self {
        self.filter = Filter::Name(name);
        self
    }

    /// Sets the timeout for the first service. Default: 5 s.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

impl IntoFuture for DiscoverAll {
    type Output = Vec<Instance>;
    type IntoFuture = Pending<Vec<Instance>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(list(self.node, self.filter, self.within))
    }
}

/// Lists the members of a group, when awaited, as [`DiscoverAll`] does; or subscribes to them. If no valid name can begin like the
/// group, because that has control characters or is too long, the list is empty at once.
///
/// # Cancel safety
/// This future is cancel safe: dropping it ends the search.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn run(mesh: meshzero::Mesh) {
/// let others = mesh.discover_group("chat").except(["chat/me"]).within(Duration::from_secs(1)).await;
/// let planes = mesh.discover_group("plane").separator("-").await;
/// # }
/// ```
#[must_use = "services are looked for when this is awaited"]
pub struct DiscoverGroup {
    node: Arc<Node>,
    group: String,
    separator: String,
    except: Vec<String>,
    within: Duration,
}

impl DiscoverGroup {
    pub(crate) fn new(node: Arc<Node>, group: &str) -> Self {
        Self {
            node,
            group: group.to_owned(),
            separator: "/".to_owned(),
            except: Vec::new(),
            within: PATIENCE,
        }
    }

    /// Sets the separator between the group and the member in a name. Default: `/`.
    pub fn separator(mut self, separator: impl AsRef<str>) -> Self {
        self.separator = separator.as_ref().to_owned();
        self
    }

    /// Leaves out these names, each in full: `chat/me`, not `me`.
    pub fn except<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.except.extend(names.into_iter().map(|name| name.as_ref().to_owned()));
        self
    }

    /// Sets the timeout for the first member. Default: 5 s.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Subscribes to the news of all members, present and future, whose topic begins with `prefix`. Does not wait for members,
    /// whatever the timeout.
    ///
    /// ```no_run
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut lines = mesh.discover_group("chat").except(["chat/me"]).subscribe::<String>("line").await?;
    /// while let Some(news) = lines.next().await {
    ///     let news = news?;
    ///     println!("{}: {}", news.from, news.item);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe<T: WireType>(self, prefix: impl AsRef<str>) -> Subscribe<T> {
        let filter = self.filter();
        Subscribe::to_group(self.node, self.group, filter, prefix.as_ref())
    }

    fn filter(&self) -> Filter {
        // No service has a name that is not valid, so there is nothing to leave out.
        let except = self.except.iter().map(ServiceName::new).filter_map(Result::<_, InvalidName>::ok);
        Filter::group(&self.group, &self.separator, except.collect())
    }
}

impl IntoFuture for DiscoverGroup {
    type Output = Vec<Instance>;
    type IntoFuture = Pending<Vec<Instance>>;

    fn into_future(self) -> Self::IntoFuture {
        let filter = self.filter();
        Box::pin(list(self.node, filter, self.within))
    }
}

async fn list(node: Arc<Node>, filter: Filter, within: Duration) -> Vec<Instance> {
    if !filter.is_possible() {
        return Vec::new();
    }
    // A mesh that has been left has no services.
    node.ask_discovery(ListInstances { filter, within }).await.unwrap_or_default()
}
